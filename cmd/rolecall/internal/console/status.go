package console

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/store"
)

func (c *Console) statusPages() []page {
	return []page{{path: "/{$}", title: "Status", template: "status", load: c.status}}
}

// newestShown is how many deliveries the page of the status shows.
const newestShown = 8

// statusPage is the data of the template "status".
type statusPage struct {
	health.Snapshot

	Newest   []listedDelivery
	Charts   []chart
	Periods  []period // what the charts show, the newest first; without what nothing measured
	Step     time.Duration
	Spans    []span
	Span     string
	Versions string           // of the processes, if they differ
	Replicas []health.Replica // of this process
	Total    driftTotal

	ByPrimary int64 // questions that replicas could have answered, and the primary did
}

// driftTotal sums all drift up.
type driftTotal struct{ Repaired, FirstFill, Behind int64 }

// status loads the page that says how well the mirror follows Clerk.
func (c *Console) status(ctx context.Context, v *visit) (any, error) {
	now, err := c.cfg.Situation()
	if err != nil {
		return nil, err
	}
	now.Own = c.cfg.Own()
	shown, err := health.SnapshotOf(now)
	if err != nil {
		return nil, err
	}
	over := spanOf(v.filter("over"))
	minutes, err := store.Minutes(ctx, v.db, shown.At.Add(-over.all-time.Minute))
	if err != nil {
		return nil, err
	}
	rows, err := store.LedgerRows(ctx, v.db, store.Filter{Limit: newestShown, Since: shown.At.Add(-searched)})
	if err != nil {
		return nil, err
	}
	newest, err := listDeliveries(ctx, v.db, rows)
	if err != nil {
		return nil, err
	}
	all := periods(minutes, shown.At, over)
	return statusPage{
		Snapshot: shown, Newest: newest, Charts: charts(all, over.step), Periods: measured(all), Step: over.step, Spans: spans(), Span: over.Name,
		Versions: differing(shown.Processes), Replicas: now.Replicas, ByPrimary: now.ByPrimary, Total: totalOf(shown.Drift),
	}, nil
}

// charts draws what the processes measured.
func charts(all []period, step time.Duration) []chart {
	pick := func(of func(period) value) (values []value) {
		for _, p := range all {
			values = append(values, of(p))
		}
		return values
	}
	minutes := step.Minutes()
	perMinute := func(n float64) string { return inDigits(n/minutes) + " /min" }
	perSecond := func(n float64) string { return inDigits(n/minutes/60) + " /s" }
	seconds := func(s float64) string { return strings.ReplaceAll(lasting(s), "\u00a0", " ") }
	wait := func(of func(period) time.Duration) func(period) value {
		return func(p period) value { return value{of(p).Seconds(), p.Longest > 0} }
	}
	drawn := []chart{
		draw("deliveries", "Deliveries accepted", perMinute, pick(func(p period) value { return counter(p.Accepted) })),
		draw("lag", "From receipt to enforcement", seconds,
			pick(wait(func(p period) time.Duration { return p.Longest })), pick(wait(period.Median))),
		draw("questions", "Questions answered", perSecond,
			pick(func(p period) value { return counter(p.Questions) }), pick(func(p period) value { return counter(p.Refused) })),
	}
	for i := range drawn {
		drawn[i].Step = strings.TrimPrefix(strings.ReplaceAll(lasting(step), "\u00a0", " "), "1 ")
	}
	return drawn
}

// inDigits writes a number of things in a time. Small ones have two digits.
func inDigits(n float64) string {
	switch {
	case n >= 10 || n == 0:
		return number(int64(n + 0.5))
	case n >= 0.1:
		return fmt.Sprintf("%.1f", n)
	default:
		return "under 0.1"
	}
}

// measured returns the periods in which anything was measured, the newest first.
func measured(all []period) (known []period) {
	for _, p := range slices.Backward(all) {
		if p.Accepted != nil || p.Questions != nil || p.Applied != nil {
			known = append(known, p)
		}
	}
	return known
}

// differing names the versions of the processes, if there are several.
func differing(processes []health.Process) string {
	var versions []string
	for _, p := range processes {
		if p.Silent == nil && !slices.Contains(versions, p.Version) {
			versions = append(versions, p.Version)
		}
	}
	if len(versions) < 2 {
		return ""
	}
	return strings.Join(versions, ", ")
}

func totalOf(drift []health.DriftCount) (total driftTotal) {
	for _, d := range drift {
		switch d.Cause {
		case store.CauseFirstFill:
			total.FirstFill += d.Count
		case store.CauseLag:
			total.Behind += d.Count
		case store.CauseUndelivered, store.CauseWaiting, store.CauseQuarantined:
			total.Repaired += d.Count
		}
	}
	return total
}
