package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/callmine/rolecall/cmd/rolecall/internal/cleanup"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/visible"
)

const (
	// feedEvery is how often the feed prints. A turn's lines are in the order of their times.
	feedEvery = 250 * time.Millisecond
	// feedLines is how many lines the feed prints in a second. It counts the others.
	feedLines = 20
	// feedAsked is how many requests wait for the next turn. The feed counts the others.
	feedAsked = 2 * feedLines
	// feedWidth is the width of a line. Its end is the outcome, which has mostly feedOutcome
	// characters, and never more than mostOutcome.
	feedWidth, feedOutcome, mostOutcome = 100, 21, 40
)

// feed prints what happens while dev runs. It has a line for each delivery that was applied, each
// change that a sweep or a look-up found, and each answer of the API.
type feed struct {
	mu     sync.Mutex
	asked  []*request
	missed int // requests that didn't fit into asked
}

// watch notes the requests to the API.
func (f *feed) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v1/") && !strings.HasPrefix(r.URL.Path, "/access/v1/") {
			next.ServeHTTP(w, r)
			return
		}
		noted := newRequest(r)
		answer := &answer{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		noted.end(answer)
		f.add(noted)
	})
}

func (f *feed) add(r *request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == feedAsked {
		f.missed++
		return
	}
	f.asked = append(f.asked, r)
}

// take returns the requests since the last call, and how many more there were.
func (f *feed) take() (asked []*request, missed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked, missed, f.asked, f.missed = f.asked, f.missed, nil, 0
	return asked, missed
}

// event is one line of the feed. Its words may be foreign text.
type event struct {
	at            time.Time
	what, outcome string
}

// line returns the event on one line, cut to the width of the feed.
func (e event) line() string {
	what, outcome := visible.Line(e.what), fit(visible.Line(e.outcome), mostOutcome)
	left := feedWidth - len("15:04:05 ") - len(" ") - max(feedOutcome, utf8.RuneCountInString(outcome))
	return strings.TrimRight(fmt.Sprintf("%s %-*s %s", e.at.Local().Format(time.TimeOnly), left, fit(what, left), outcome), " ")
}

// fit cuts a text to a number of characters.
func fit(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// start prints events until the cleanup.
func (f *feed) start(ctx context.Context, db database.DB, out io.Writer, cleanup *cleanup.Stack) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var printing sync.WaitGroup
	printing.Go(func() { f.run(ctx, db, out) })
	cleanup.Add("feed", func(context.Context) error { cancel(); printing.Wait(); return nil })
}

// run prints events until ctx ends. An error of the database is left out: the log has those that
// matter, and the next turn tries again.
func (f *feed) run(ctx context.Context, db database.DB, out io.Writer) {
	turns := time.NewTicker(feedEvery)
	defer turns.Stop()
	read := newReader()
	_, _ = read.events(ctx, db, nil, 0) // notes what is there
	bounded := bounded{out: out}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-turns.C:
			asked, missed := f.take()
			events, more := read.events(ctx, db, asked, bounded.left(now))
			bounded.print(now, events, more+missed)
		}
	}
}

// bounded prints at most feedLines lines in a second, and then how many more there were.
type bounded struct {
	out     io.Writer
	since   time.Time // the beginning of the second
	printed int       // in it
	more    int       // events that weren't printed
}

// left returns how many lines may be printed now.
func (b *bounded) left(now time.Time) int {
	if now.Sub(b.since) >= time.Second {
		b.tellMore()
		b.since, b.printed = now, 0
	}
	return feedLines - b.printed
}

func (b *bounded) tellMore() {
	if b.more > 0 {
		fmt.Fprintf(b.out, "… and %d more\n", b.more)
		b.more = 0
	}
}

func (b *bounded) print(now time.Time, events []event, more int) {
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at.UnixMicro(), b.at.UnixMicro()) })
	n := min(len(events), b.left(now))
	var lines strings.Builder
	for _, e := range events[:n] {
		lines.WriteString(e.line() + "\n")
	}
	_, _ = io.WriteString(b.out, lines.String()) // a closed terminal shows nothing
	b.printed += n
	b.more += len(events) - n + more
}
