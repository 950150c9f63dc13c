package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Source is a replica to read from.
type Source struct {
	// Name names it to operators, without secrets: its host and port.
	Name string
	// Pool are the sessions that answer; Looks is one more, which asks how far the replica is. Both
	// are opened with pgpool.Config.Copies, which refuses all other servers.
	Pool, Looks *pgxpool.Pool
}

// Config configures a [Set]. All of it is required.
type Config struct {
	// Primary gets the pulses. Nothing else uses the pool, which needs one session that writes.
	Primary *pgxpool.Pool
	// Replicas are those that may answer.
	Replicas []Source
	// MaxLag is the bound.
	MaxLag time.Duration
	// Logger gets a line when a replica begins to answer and when it ceases to.
	Logger *slog.Logger

	now      func() time.Time // of tests
	unproven bool             // of a test that shows what the proof is for: a replica answers in any state
}

func (c Config) validate() error {
	switch {
	case c.Primary == nil:
		return errors.New("replica: Primary is missing")
	case len(c.Replicas) == 0:
		return errors.New("replica: Replicas are missing")
	case c.MaxLag <= 0:
		return errors.New("replica: MaxLag must be positive")
	case c.Logger == nil:
		return errors.New("replica: Logger is missing")
	}
	return nil
}

// Set are the replicas of a process. It is safe for concurrent use.
type Set struct {
	cfg       Config
	pulses    pulses
	replicas  []*Replica
	turn      atomic.Uint32 // of the replica that is asked next
	byPrimary atomic.Int64  // questions that the primary answered
	process   int64         // names the pulses of this set
	lastPulse int64         // that that was sent to the primary
	began     time.Time
	lastError atomic.Pointer[string] // of the primary, "" for none

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Start begins to ask the primary and the replicas how far they are. No replica answers before that
// is known. A replica may be down.
func Start(ctx context.Context, cfg Config) (*Set, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := newSet(cfg)
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx)) // only Stop stops
	s.running.Go(func() { s.everyBeat(ctx, s.hear) })
	for _, r := range s.replicas {
		s.running.Go(func() { s.everyBeat(ctx, r.look) })
	}
	return s, nil
}

// newSet returns a set that asks nobody by itself.
func newSet(cfg Config) *Set {
	if cfg.now == nil {
		cfg.now = time.Now
	}
	s := &Set{cfg: cfg, began: cfg.now(), process: rand.Int64()} //nolint:gosec // no secret
	for i, source := range cfg.Replicas {
		s.replicas = append(s.replicas, newReplica(s, i, source))
	}
	return s
}

// Stop ends all questions.
func (s *Set) Stop() {
	s.cancel()
	s.running.Wait()
}

// Replicas lists the replicas.
func (s *Set) Replicas() []*Replica { return s.replicas }

// ByPrimary returns how many questions the primary answered that replicas could have answered. What
// only the primary may answer isn't among them.
func (s *Set) ByPrimary() int64 { return s.byPrimary.Load() }

// Certain returns the last instant of which the state was certain: what was committed by then was
// heard of. It is zero before the primary was heard.
func (s *Set) Certain() time.Time {
	newest, _ := s.pulses.newest()
	return newest.at
}

// Heard reports whether the primary was heard within the bound.
func (s *Set) Heard() bool {
	newest, ok := s.pulses.newest()
	return ok && age(newest.at, s.cfg.now()) <= s.cfg.MaxLag
}

// next returns a replica that answers, by turns, if there is one. It counts those that don't.
func (s *Set) next() *Replica {
	first := int(s.turn.Add(1))
	for i := range s.replicas {
		r := s.replicas[(first+i)%len(s.replicas)]
		why := r.fit()
		if why == OutcomeAnswered {
			return r
		}
		r.count(why)
	}
	return nil
}

// told notes whether a pulse was written.
func (s *Set) told(ctx context.Context, err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	before := s.lastError.Swap(&now)
	if err != nil && (before == nil || *before == "") {
		s.cfg.Logger.WarnContext(ctx, "the primary takes no pulse: no replica answers meanwhile", "error", err)
	}
}

// fails reports whether the primary didn't take the last pulse.
func (s *Set) fails() bool {
	last := s.lastError.Load()
	return last != nil && *last != ""
}

// unheard returns why the primary was last not heard, for operators.
func (s *Set) unheard() string {
	if last := s.lastError.Load(); last != nil && *last != "" {
		return *last
	}
	return fmt.Sprintf("the primary took no pulse within %s", s.cfg.MaxLag)
}
