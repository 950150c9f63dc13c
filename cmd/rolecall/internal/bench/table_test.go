package bench_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// table collects the results of a run.
type table struct{ lines []string }

// compare measures a floor and Rolecall in turn, and adds a row. Both return how much they did in a
// second.
func (t *table) compare(b *testing.B, work, unit string, floor, own func() float64) {
	b.Helper()
	var floors, owns, ratios []float64
	for b.Loop() {
		for range rounds {
			f, o := floor(), own()
			floors, owns, ratios = append(floors, f), append(owns, o), append(ratios, o/f)
		}
	}
	b.ReportMetric(median(floors), "floor_"+unit+"/s")
	b.ReportMetric(median(owns), unit+"/s")
	b.ReportMetric(median(ratios), "x_of_floor")
	b.ReportMetric(0, "ns/op") // the time of all rounds says nothing
	t.add(work, fmt.Sprintf("%.0f %s/s", median(floors), unit), fmt.Sprintf("%.0f %s/s", median(owns), unit),
		fmt.Sprintf("%.2f × (%.2f–%.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios)))
}

func (t *table) add(work, floor, own, ratio string) {
	t.lines = append(t.lines, fmt.Sprintf("| %s | %s | %s | %s |\n", work, floor, own, ratio))
}

// String returns the table in Markdown.
func (t *table) String() string {
	return "| work | floor | Rolecall | Rolecall ÷ floor |\n|---|---|---|---|\n" + strings.Join(t.lines, "")
}

func median(values []float64) float64 { return quantile(values, 0.5) }

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1))]
}

// plural writes how many callers there are.
func plural(callers int) string {
	if callers == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", callers)
}
