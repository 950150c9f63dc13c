package replica

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/internal/pgpool"
)

// pulse is what a process has written on the primary.
type pulse struct {
	number  int64
	history string
}

// beatSQL writes a pulse. The history is NULL, and nothing is written, unless the server is the one
// that its tables name.
const beatSQL = `SELECT coalesce(rolecall.beat($1, $2)::text, '')`

// errUnnoted says that pulses prove nothing for now.
var errUnnoted = errors.New("the primary's server isn't noted yet: a failover was a moment ago")

// write writes a pulse on the primary.
func write(ctx context.Context, primary *pgxpool.Pool, process, number int64) (pulse, error) {
	p := pulse{number: number}
	if err := primary.QueryRow(ctx, beatSQL, process, number).Scan(&p.history); err != nil {
		return pulse{}, pgpool.Explain(err)
	}
	if p.history == "" {
		return pulse{}, errUnnoted
	}
	return p, nil
}

const (
	// hearsWithin is how often a pulse is written within the bound.
	hearsWithin = 5
	// rememberedFor is for how long pulses are remembered, to tell how far behind a replica is.
	rememberedFor = time.Minute
)

// heard is a pulse, and the instant before it was written.
type heard struct {
	pulse

	at time.Time
}

// age returns how long ago an instant was, by the clock by which more time has passed.
func age(at, now time.Time) time.Duration { return max(now.Sub(at), now.Round(0).Sub(at.Round(0))) }

// pulses are those that the primary has. They are safe for concurrent use.
type pulses struct {
	recent atomic.Pointer[[]heard] // within the bound when the newest was heard, the newest first

	mu  sync.Mutex
	all []heard // the newest last
}

// add remembers a pulse, and forgets those of other histories and of long ago.
func (p *pulses) add(h heard, bound time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = slices.DeleteFunc(p.all, func(old heard) bool { return old.history != h.history || age(old.at, h.at) >= rememberedFor })
	p.all = append(p.all, h)
	var recent []heard
	for _, known := range slices.Backward(p.all) {
		if age(known.at, h.at) > bound {
			break
		}
		recent = append(recent, known)
	}
	p.recent.Store(&recent)
}

// newest returns the newest pulse.
func (p *pulses) newest() (heard, bool) {
	recent := p.recent.Load()
	if recent == nil || len(*recent) == 0 {
		return heard{}, false
	}
	return (*recent)[0], true
}

// reached returns the newest pulse that a server has replayed and that isn't older than a limit.
// Without one, it says why.
func (p *pulses) reached(number int64, history string, now time.Time, limit time.Duration) (heard, Outcome) {
	newest, ok := p.newest()
	switch {
	case !ok || age(newest.at, now) > limit:
		return heard{}, OutcomeUnheard
	case newest.history != history:
		return heard{}, OutcomeOtherHistory
	}
	for _, h := range *p.recent.Load() {
		if age(h.at, now) > limit {
			break
		}
		if h.number <= number && h.history == history {
			return h, OutcomeAnswered
		}
	}
	return heard{}, OutcomeBehind
}

// delay returns how far behind a server is that has replayed a pulse; false if it is farther
// behind than what is remembered.
func (p *pulses) delay(number int64, now time.Time) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, known := range slices.Backward(p.all) {
		if known.number <= number {
			if i == len(p.all)-1 {
				return 0, true
			}
			return age(p.all[i+1].at, now), true // it lacks what came after that one
		}
	}
	return 0, false
}

// hear writes a pulse on the primary. No number is written twice, whatever became of the last one.
func (s *Set) hear(ctx context.Context) {
	at := s.cfg.now()
	s.lastPulse++
	written, err := write(ctx, s.cfg.Primary, s.process, s.lastPulse)
	if err == nil {
		s.pulses.add(heard{written, at}, s.cfg.MaxLag)
	}
	s.told(ctx, err)
}

// everyBeat calls a function at once and then at each beat, with the time that an answer would
// still be of use.
func (s *Set) everyBeat(ctx context.Context, do func(context.Context)) {
	ticker := time.NewTicker(s.beat())
	defer ticker.Stop()
	for {
		within, cancel := context.WithTimeout(ctx, s.patience())
		do(within)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// beat is the time between two questions to a server.
func (s *Set) beat() time.Duration { return s.cfg.MaxLag / hearsWithin }

// longestTry is how long a server may take for an answer, whatever the bound: callers wait for it,
// and get another server's answer or a refusal within a second.
const longestTry = 400 * time.Millisecond

// patience is how long an answer may take.
func (s *Set) patience() time.Duration { return min(s.cfg.MaxLag, longestTry) }
