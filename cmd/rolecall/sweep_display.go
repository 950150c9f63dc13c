package main

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/callmine/rolecall/jobs/sweep"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// displayEvery is how often a terminal shows progress: often enough to look alive.
	displayEvery = 100 * time.Millisecond
	// logEvery is how often a log shows progress.
	logEvery = 3 * time.Second
	// barWidth leaves room for counts, rate and time in 80 columns.
	barWidth = 20
)

// display shows a sweep's progress: as a bar on a terminal, as lines of a log anywhere else. It
// also writes the command's log, so that no line runs into the bar.
type display struct {
	out      io.Writer
	terminal bool
	logger   *slog.Logger

	mu         sync.Mutex
	bar        *progressbar.ProgressBar
	resource   clerksync.Resource // of the bar
	confirming bool
	logged     time.Time
}

// newDisplay returns a display on a stream. A terminal gets only warnings and errors: the bar shows
// the rest.
func newDisplay(out io.Writer, level slog.Level) *display {
	d := &display{out: out}
	if file, ok := beneath(out).(*os.File); ok {
		d.terminal = term.IsTerminal(int(file.Fd()))
	}
	if d.terminal {
		level = max(level, slog.LevelWarn)
	}
	d.logger = slog.New(slog.NewTextHandler(d, &slog.HandlerOptions{Level: level}))
	return d
}

// Write clears the bar, and writes a line.
func (d *display) Write(line []byte) (int, error) { return d.writeTo(d.out, line) }

// writeTo writes a line to a stream that may be the same terminal.
func (d *display) writeTo(out io.Writer, line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	return out.Write(line)
}

func (d *display) clear() {
	if d.bar != nil {
		_ = d.bar.Clear() // a closed terminal shows nothing
	}
}

// end clears the bar for good.
func (d *display) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	d.bar = nil
}

// progress shows how far a sweep has come.
func (d *display) progress(p sweep.Progress) {
	if d.terminal {
		d.show(p)
		return
	}
	if now := time.Now(); now.Sub(d.logged) >= logEvery {
		d.logged = now
		d.logger.Info("sweeping", "resource", p.Resource, "listed", p.Listed, "total", p.Total, "confirming", p.Confirming, "looked_up", p.LookedUp)
	}
}

func (d *display) show(p sweep.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bar == nil || p.Resource != d.resource || p.Confirming != d.confirming {
		d.clear()
		d.resource, d.confirming = p.Resource, p.Confirming
		d.bar = newBar(beneath(d.out), p) // which moves the cursor
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

// newBar returns a bar for one resource. It shows the remaining time if Clerk counts the objects.
func newBar(out io.Writer, p sweep.Progress) *progressbar.ProgressBar {
	what := "listing "
	if p.Confirming {
		what = "looking up "
	}
	return progressbar.NewOptions(max(p.Total, -1),
		progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what+string(p.Resource)), progressbar.OptionSetWidth(barWidth),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("objects"),
		progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true), progressbar.OptionThrottle(displayEvery),
		progressbar.OptionSetSpinnerChangeInterval(0), // else a goroutine draws it, also into other lines
		progressbar.OptionClearOnFinish())
}
