// Package presence lets operators see which processes run, and how busy each of them was.
//
// It guarantees that counting never waits, and that a database that is away costs only what was
// counted meanwhile: nothing of the service depends on these notes.
package presence

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/cmd/rolecall/internal/buildinfo"
	"github.com/callmine/rolecall/store"
)

const (
	// noteEvery is how often a process notes itself and what it counted. Package health waits for
	// three notes before it calls a process silent.
	noteEvery = 10 * time.Second
	// noteTimeout bounds one note.
	noteTimeout = 2 * time.Second
	// forgetTimeout bounds the note that a process ends.
	forgetTimeout = time.Second
	// forgetAfter is how long a process that was killed stays visible.
	forgetAfter = 10 * time.Minute
	// Kept is how long measurements are kept.
	Kept = 48 * time.Hour
	// pruneBatch bounds one statement.
	pruneBatch = 1000
)

// Config configures a [Presence].
type Config struct {
	// Pool is where the process notes itself.
	Pool *pgxpool.Pool
	// Process is what is noted. Its ID comes from [NewID].
	Process store.Process
	// Clerk returns how much of Clerk's limit the process uses; nil for a process without a secret
	// key. Optional.
	Clerk func() *store.ClerkUse
	// Counters are noted with the process.
	Counters *Counters
	// Logger gets a line for each note that fails.
	Logger *slog.Logger
}

func (c Config) validate() error {
	switch {
	case c.Pool == nil:
		return errors.New("presence: Pool is missing")
	case c.Process.ID == "":
		return errors.New("presence: Process has no ID")
	case c.Counters == nil:
		return errors.New("presence: Counters are missing")
	case c.Logger == nil:
		return errors.New("presence: Logger is missing")
	default:
		return nil
	}
}

// Presence notes a process until it is stopped.
type Presence struct {
	cfg     Config
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Start notes the process at once, and then at intervals.
func Start(ctx context.Context, cfg Config) (*Presence, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Presence{cfg: cfg}
	ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx)) // only Stop stops
	p.running.Go(func() { p.run(ctx) })
	return p, nil
}

// Stop notes what was counted last, and that the process has ended. An error of the database isn't
// returned: the process ends all the same, and others see that it is silent.
func (p *Presence) Stop(ctx context.Context) {
	p.cancel()
	p.running.Wait()
	ctx, cancel := context.WithTimeout(ctx, forgetTimeout)
	defer cancel()
	_ = store.AddMeasurement(ctx, p.cfg.Pool, p.cfg.Process.ID, p.take())
	_ = store.ForgetProcess(ctx, p.cfg.Pool, p.cfg.Process.ID)
}

func (p *Presence) run(ctx context.Context) {
	ticker := time.NewTicker(noteEvery)
	defer ticker.Stop()
	for {
		if err := p.note(ctx); err != nil && ctx.Err() == nil {
			p.cfg.Logger.WarnContext(ctx, "the process couldn't note itself for `rolecall status`", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// note writes down what was counted since the last note. What a failed note took is lost: added
// later, it would show as a burst in the wrong minute.
func (p *Presence) note(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	counted, process := p.take(), p.cfg.Process
	if p.cfg.Clerk != nil {
		process.Clerk = p.cfg.Clerk()
	}
	if err := store.NoteProcess(ctx, p.cfg.Pool, process); err != nil {
		return err
	}
	if err := store.AddMeasurement(ctx, p.cfg.Pool, process.ID, counted); err != nil {
		return err
	}
	if err := store.PruneProcesses(ctx, p.cfg.Pool, forgetAfter); err != nil {
		return err
	}
	return store.PruneMeasurements(ctx, p.cfg.Pool, Kept, pruneBatch)
}

func (p *Presence) take() store.Measurement {
	return p.cfg.Counters.take(p.cfg.Process.Web, p.cfg.Process.Workers)
}

// NewProcess returns this process, with an id that no other run has.
func NewProcess(web, workers, sweeps bool) store.Process {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return store.Process{ID: newID(host), HostName: host, PID: os.Getpid(), Version: buildinfo.Read().Version, Web: web, Workers: workers, Sweeps: sweeps}
}

// longestHost is how much of a host's name an id has: River accepts up to 100 characters.
const longestHost = 60

// newID returns an id by which a person finds the process in a log, too.
func newID(host string) string {
	unique := make([]byte, 4)
	_, _ = rand.Read(unique) // it never fails
	host, _, _ = strings.Cut(host, ".")
	return host[:min(len(host), longestHost)] + "_" + hex.EncodeToString(unique)
}
