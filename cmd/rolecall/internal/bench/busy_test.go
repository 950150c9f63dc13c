package bench_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// A busy service: questions and deliveries in a second, each from so many callers. They are half of
// what a small machine can do, so that a difference isn't one of a queue that grows.
const (
	busyQuestions, busyDeliveries, busyCallers = 1_000, 500, 16
	// busyRounds are more than other rounds: the end of a distribution differs from round to round.
	// All of them take three minutes.
	busyRounds = 11
	// busyTime is the length of a round: in that time, an open page is read again once.
	busyTime = 5 * time.Second
)

// audience are people who look at the console during a round.
type audience struct {
	name     string
	consoles int           // open pages, each of which follows what changes
	click    time.Duration // how often each person loads another page
}

// audiences are those that are compared, the first one beside each other one.
func audiences() []audience {
	return []audience{
		{name: "closed"},
		{name: "one open console", consoles: 1, click: 5 * time.Second},
		{name: "five busy consoles", consoles: 5, click: time.Second},
	}
}

// busy measures questions and deliveries while nobody looks at the console, and while people do.
// Rounds take turns, each time in the opposite order, so that a drift of the machine meets all.
func (s *suite) busy(b *testing.B, p *program, t *traffic, spent cost) {
	b.Helper()
	t.round(b)
	all := audiences()
	rounds := make(map[string][]busyRound)
	for b.Loop() {
		for n := range busyRounds {
			for _, people := range all {
				end := people.lookOn(b, p, n)
				before := spent.processorTime(b)
				r := busyRound{latencies: t.round(b)}
				r.used = spent.processorTime(b).minus(before)
				r.pages, r.failed = end()
				rounds[people.name] = append(rounds[people.name], r)
			}
			slices.Reverse(all)
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, people := range audiences()[1:] {
		s.compareRounds(people.name+" beside closed", rounds[audiences()[0].name], rounds[people.name])
	}
}

// busyRound is what a round of traffic took.
type busyRound struct {
	latencies

	used          used
	pages, failed int // of the console
}

// compareRounds adds a row for each latency, and one for the processor time. Of the ratios of
// rounds, it shows the quartiles: on a machine that other programs use, single rounds say nothing.
func (s *suite) compareRounds(work string, closed, open []busyRound) {
	row := func(what, unit string, of func(busyRound) float64) {
		var a, z, ratios []float64
		for n := range closed {
			x, y := of(closed[n]), of(open[n])
			a, z, ratios = append(a, x), append(z, y), append(ratios, y/x)
		}
		s.table.add("busy service, "+work+": "+what, fmt.Sprintf("%.2f %s", median(a), unit), fmt.Sprintf("%.2f %s", median(z), unit),
			fmt.Sprintf("%.2f × (half of the rounds: %.2f–%.2f)", median(ratios), quantile(ratios, 0.25), quantile(ratios, 0.75)))
	}
	for i, what := range []string{"questions, p50", "questions, p99", "received → applied, p50", "received → applied, p99"} {
		row(what, "ms", func(r busyRound) float64 { return r.latencies[i] })
	}
	row("processor time of a round", "s", func(r busyRound) float64 { return (r.used.program + r.used.postgres).Seconds() })
	pages, failed := 0, 0
	for _, r := range open {
		pages, failed = pages+r.pages, failed+r.failed
	}
	s.table.add("busy service, "+work+": pages that failed", "–", fmt.Sprintf("%d of %d", failed, pages), "–")
}

// latencies are the 50th and the 99th percentile of questions, then of deliveries, in milliseconds.
type latencies [4]float64

// traffic is what a busy service gets.
type traffic struct {
	db       *pgx.Conn
	askers   []asker
	senders  []sender
	messages *joins
}

func newTraffic(b *testing.B, c *clerk, p *program, db *pgx.Conn) *traffic {
	b.Helper()
	tokens := make([]string, busyCallers)
	for i := range tokens {
		tokens[i] = c.token(b, largeID("user", i))
	}
	t := &traffic{db: db, senders: newSenders(b, c, p.addr, busyCallers), messages: newJoins(b, c)}
	t.messages.made.Store(time.Now().UnixMicro()) // a kept database has those of earlier runs
	t.askers = newAskers(b, p.addr, busyCallers, func(ctx context.Context, caller int) (*http.Request, error) {
		return withToken(ctx, "/v1/authorize?permission=reports:read&workspace_id="+largeID("org", caller), tokens[caller])
	})
	return t
}

// round is a while of traffic. It ends when all its deliveries are applied.
func (t *traffic) round(b *testing.B) (l latencies) {
	b.Helper()
	began := time.Now()
	var deliveries sync.WaitGroup
	var failed error
	deliveries.Go(func() {
		_, failed = atPace(b, busyCallers, busyCallers*time.Second/busyDeliveries, busyTime, func(caller int) error {
			return t.senders[caller].send(b.Context(), t.messages.next())
		})
	})
	asked, err := atPace(b, busyCallers, busyCallers*time.Second/busyQuestions, busyTime, asking(b, t.askers))
	deliveries.Wait()
	require.NoError(b, errors.Join(err, failed))
	untilApplied(b, t.db)
	l[0], l[1] = quantile(asked, 0.5), quantile(asked, 0.99)
	err = t.db.QueryRow(b.Context(), `
		SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY took), percentile_disc(0.99) WITHIN GROUP (ORDER BY took)
		FROM (SELECT extract(epoch FROM applied_at - received_at) * 1000 AS took FROM rolecall.deliveries WHERE received_at >= $1) applied`, began).Scan(&l[2], &l[3])
	require.NoError(b, err)
	return l
}

// lookOn opens the consoles of people: each shows a page, reads it again when it is told to, and
// loads another page now and then, in each round others. end closes them, and says how many pages
// were loaded and how many of them failed: on a machine that is overloaded, some take too long.
func (a audience) lookOn(b *testing.B, p *program, round int) (end func() (loaded, failed int)) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var loads, failures atomic.Int64
	var group sync.WaitGroup
	pages := largePages()
	opened := func() (load func(path string), done func()) {
		wire := &servicetest.Wire{Dial: servicetest.DialTCP(p.admin), Keep: true}
		return func(path string) {
			_, err := asker{wire, func(ctx context.Context) (*http.Request, error) { return atConsole(ctx, p, path) }}.ask(b.Context())
			loads.Add(1)
			if err != nil {
				failures.Add(1)
			}
		}, wire.Close
	}
	errs := make([]error, a.consoles)
	for i := range a.consoles {
		group.Go(func() {
			load, done := opened()
			defer done()
			errs[i] = follow(ctx, p, func() { load(pages[i].path) })
		})
		group.Go(func() {
			load, done := opened()
			defer done()
			due := time.Now().Add(a.click / 2)
			for n := i + round; ; n++ {
				waitUntil(ctx, due)
				if ctx.Err() != nil {
					return
				}
				load(pages[n%len(pages)].path)
				due = due.Add(a.click)
			}
		})
	}
	return func() (int, int) {
		cancel()
		group.Wait()
		require.NoError(b, errors.Join(errs...))
		return int(loads.Load()), int(failures.Load())
	}
}

// follow does something whenever an open page is told that it changed, until the console is closed.
func follow(ctx context.Context, p *program, changed func()) error {
	request, err := atConsole(ctx, p, "/events")
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if ctx.Err() != nil { // the console was closed
			return nil
		}
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if lines.Text() == "event: changed" {
			changed()
		}
	}
	if ctx.Err() == nil {
		return fmt.Errorf("the stream of events ended: %w", lines.Err())
	}
	return nil
}
