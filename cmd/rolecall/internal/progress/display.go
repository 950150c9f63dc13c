// Package progress shows how far a sweep has come: as a bar on a terminal, as lines of a log
// anywhere else.
//
// It guarantees that no line of the log runs into the bar.
package progress

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/callmine/rolecall/cmd/rolecall/internal/visible"
	"github.com/callmine/rolecall/jobs/sweep"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// displayEvery is how often a terminal shows progress: often enough to look alive.
	displayEvery = 100 * time.Millisecond
	// logEvery is how often a log shows progress.
	logEvery = 3 * time.Second
	// barWidth leaves room for counts and time in 80 columns.
	barWidth = 20
)

// Display shows a sweep's progress, and writes the log of whatever sweeps. Make one with [New].
type Display struct {
	Logger *slog.Logger // writes to the display's stream

	out      io.Writer
	terminal bool

	mu         sync.Mutex
	bar        *progressbar.ProgressBar
	resource   clerksync.Resource // of the bar
	confirming bool
	logged     time.Time
}

// New returns a display on a stream, whose log lines the given function's handler writes. A
// terminal gets only warnings and errors: the bar shows the rest.
func New(out io.Writer, level slog.Level, handler func(io.Writer, slog.Level) slog.Handler) *Display {
	d := &Display{out: out}
	if file, ok := visible.Beneath(out).(*os.File); ok {
		d.terminal = term.IsTerminal(int(file.Fd()))
	}
	if d.terminal {
		level = max(level, slog.LevelWarn)
	}
	d.Logger = slog.New(handler(d, level))
	return d
}

// Write clears the bar, and writes a line.
func (d *Display) Write(line []byte) (int, error) { return d.WriteLine(d.out, line) }

// WriteLine writes a line to a stream that may be the same terminal.
func (d *Display) WriteLine(out io.Writer, line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	return out.Write(line)
}

func (d *Display) clear() {
	if d.bar != nil {
		_ = d.bar.Clear() // a closed terminal shows nothing
	}
}

// End clears the bar for good.
func (d *Display) End() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	d.bar = nil
}

// Show shows how far a sweep has come.
func (d *Display) Show(p sweep.Progress) {
	if d.terminal {
		d.move(p)
		return
	}
	if now := time.Now(); now.Sub(d.logged) >= logEvery {
		d.logged = now
		d.Logger.Info("sweeping", "resource", p.Resource, "listed", p.Listed, "total", p.Total, "confirming", p.Confirming, "looked_up", p.LookedUp)
	}
}

func (d *Display) move(p sweep.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bar == nil || p.Resource != d.resource || p.Confirming != d.confirming {
		d.clear()
		d.resource, d.confirming = p.Resource, p.Confirming
		d.bar = newBar(visible.Beneath(d.out), p) // the bar moves the cursor, which a stream that escapes would show as text
	}
	done := p.Listed
	if p.Confirming {
		done = p.LookedUp
	}
	if p.Total > 0 && d.bar.GetMax() != max(p.Total, done) { // Clerk's count changes while it is listed
		d.bar.ChangeMax(max(p.Total, done))
	}
	_ = d.bar.Set(done)
}

// newBar returns a bar for one resource. It shows the remaining time if Clerk counts the objects. A
// full bar stays until the next one: that of a small instance is full after its first page. It
// shows no rate: the bar begins when its first page is here, so a rate would be far too high.
func newBar(out io.Writer, p sweep.Progress) *progressbar.ProgressBar {
	what := "listing "
	if p.Confirming {
		what = "looking up "
	}
	return progressbar.NewOptions(max(p.Total, -1),
		progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what+string(p.Resource)), progressbar.OptionSetWidth(barWidth),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true), progressbar.OptionThrottle(displayEvery),
		progressbar.OptionSetSpinnerChangeInterval(0)) // otherwise a goroutine draws the bar, even into other lines
}
