package console

import (
	"fmt"
	"strings"
	"time"

	"github.com/callmine/rolecall/store"
)

// The size of a chart, in units of its own; the page stretches it.
const (
	chartWidth  = 300
	chartHeight = 60
)

// span is a time over which charts are drawn, and how long each of their points is.
type span struct {
	Name string // in the query
	Text string
	all  time.Duration
	step time.Duration
}

// spans are offered; the first one is shown unless the query names another.
func spans() []span {
	return []span{
		{"1h", "1 hour", time.Hour, time.Minute},
		{"6h", "6 hours", 6 * time.Hour, 5 * time.Minute},
		{"48h", "48 hours", 48 * time.Hour, 30 * time.Minute},
	}
}

// spanOf returns the span of a name; the first one if there is none.
func spanOf(name string) span {
	for _, s := range spans() {
		if s.Name == name {
			return s
		}
	}
	return spans()[0]
}

// period is the sum of some minutes.
type period struct {
	From time.Time
	store.Measurement
}

// Median returns the median time from receipt to enforcement, rounded up to a range's bound.
func (p period) Median() time.Duration { return p.Waits.AtMost(0.5, p.Longest) }

// periods divides a span that ends with the last full minute into steps. A step without any
// measurement has no counters.
func periods(minutes []store.Minute, now time.Time, s span) []period {
	end := now.Truncate(time.Minute)
	from := end.Add(-s.all)
	all := make([]period, s.all/s.step)
	for i := range all {
		all[i].From = from.Add(time.Duration(i) * s.step)
	}
	for _, m := range minutes {
		if m.At.Before(from) || !m.At.Before(end) {
			continue
		}
		p := &all[m.At.Sub(from)/s.step]
		p.Measurement = p.Plus(m.Measurement)
	}
	return all
}

// chart is a line of values, and perhaps a second one, for the template "chart".
type chart struct {
	ID, Title string
	Peak      string // the highest value, in words
	Now       string // the last value, in words
	Step      string // how long a point is
	Lines     []line
	Empty     bool
}

// line is drawn in pieces: where there is no value there is no line.
type line struct {
	Class  string
	Pieces []string // points, as SVG has them
}

// value is the height of a point; known is false where nothing was measured.
type value struct {
	of    float64
	known bool
}

func counter(n *int64) value {
	if n == nil {
		return value{}
	}
	return value{float64(*n), true}
}

// draw makes a chart of one or two series. The highest value of all reaches the top.
func draw(id, title string, words func(float64) string, series ...[]value) chart {
	c := chart{ID: id, Title: title, Empty: true, Now: "–"}
	highest := 0.0
	for _, values := range series {
		for _, v := range values {
			if v.known {
				c.Empty, highest = false, max(highest, v.of)
			}
		}
	}
	if c.Empty {
		return c
	}
	c.Peak = words(highest)
	if last := series[0][len(series[0])-1]; last.known {
		c.Now = words(last.of)
	}
	for i, values := range series {
		class := "first"
		if i > 0 {
			class = "second"
		}
		c.Lines = append(c.Lines, line{class, pieces(values, highest)})
	}
	return c
}

// pieces returns the points of each run of known values.
func pieces(values []value, highest float64) (all []string) {
	const margin, dash = 2, 3
	x := func(i int) float64 { return float64(i) * chartWidth / float64(max(1, len(values)-1)) }
	var run []string
	end := func() {
		if len(run) > 0 {
			all = append(all, strings.Join(run, " "))
		}
		run = nil
	}
	for i, v := range values {
		if !v.known {
			end()
			continue
		}
		height := 0.0
		if highest > 0 {
			height = v.of / highest
		}
		y := chartHeight - margin - height*(chartHeight-2*margin)
		if len(run) == 0 && (i+1 == len(values) || !values[i+1].known) { // a single point is a short line
			run = append(run, fmt.Sprintf("%.1f,%.1f", max(0, x(i)-dash), y), fmt.Sprintf("%.1f,%.1f", min(chartWidth, x(i)+dash), y))
			continue
		}
		run = append(run, fmt.Sprintf("%.1f,%.1f", x(i), y))
	}
	end()
	return all
}
