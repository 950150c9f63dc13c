package replica

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/callmine/rolecall/internal/pgpool"
)

// Replica is one of the replicas of a [Set].
type Replica struct {
	Source

	set    *Set
	index  int
	counts map[Outcome]*atomic.Int64
	state  atomic.Pointer[state]

	failures atomic.Int32 // in a row

	mu        sync.Mutex
	wellAt    time.Time // when it could answer last; the start of the set before that
	unheardAt time.Time // when the primary took no pulse last: that is no fault of the replica
	silent    bool      // it was logged that it doesn't answer
}

// state is what is known of a replica since the last look or the last failure.
type state struct {
	fault    Outcome // why it isn't asked; OutcomeAnswered if nothing is known against it
	cause    string  // in words, for operators
	replayed int64   // the newest pulse that it shows
	history  string
	until    time.Time // no look may lift the fault before
}

// longestRest is how long a replica isn't asked after several failures in a row. The primary
// answers meanwhile.
const longestRest = 5 * time.Second

func newReplica(s *Set, index int, source Source) *Replica {
	r := &Replica{Source: source, set: s, index: index, counts: map[Outcome]*atomic.Int64{}, wellAt: s.began}
	for _, o := range Outcomes() {
		r.counts[o] = &atomic.Int64{}
	}
	r.state.Store(&state{fault: OutcomeUnreachable})
	return r
}

// Index is the replica's place in [Set.Replicas].
func (r *Replica) Index() int { return r.index }

// Counts returns how many questions ended with an outcome. A question is a request that read
// something. Of those that the replica answered, the primary answered nothing.
func (r *Replica) Counts(o Outcome) int64 { return r.counts[o].Load() }

func (r *Replica) count(o Outcome) { r.counts[o].Add(1) }

// proofSQL reads the state of the server: the newest pulse of this process that it shows, and the
// history, which tells operators of a replica that follows another primary. It counts only in the
// database in which it was noted, not in a restored dump of it.
const proofSQL = `SELECT pg_is_in_recovery(), coalesce((SELECT pulse FROM rolecall.replica_pulses WHERE process = $1), 0),
	coalesce((SELECT history::text FROM rolecall.database_identity
		WHERE table_oid = 'rolecall.database_identity'::regclass::oid::bigint), '')`

// place is what the proof reads.
type place struct {
	inRecovery bool
	replayed   int64
	history    string
}

func (p *place) scan(row pgx.Row) error { return row.Scan(&p.inRecovery, &p.replayed, &p.history) }

// look asks the replica how far it is, so that requests needn't try.
func (r *Replica) look(ctx context.Context) {
	var at place
	err := at.scan(r.Looks.QueryRow(ctx, proofSQL, r.set.process))
	before, now := r.state.Load(), r.set.cfg.now()
	next := &state{fault: OutcomeAnswered, replayed: at.replayed, history: at.history}
	switch {
	case err != nil:
		fault := faultOf(err)
		next.fault, next.cause = fault, pgpool.Explain(err).Error()
	case !at.inRecovery:
		next.fault = OutcomeNotInRecovery
	case now.Before(before.until): // a look proves that it answers looks
		next.fault, next.cause, next.until = before.fault, before.cause, before.until
	}
	r.state.Store(next)
	r.tell(ctx)
}

// faultOf names what an error of asking a replica means.
func faultOf(err error) Outcome {
	if refused, ok := errors.AsType[*pgpool.RefusedError](err); ok {
		if refused.Reason == pgpool.ReasonNoStandby {
			return OutcomeNotInRecovery
		}
		return OutcomeRefused
	}
	if _, answered := errors.AsType[*pgconn.PgError](err); answered {
		return OutcomeFailed
	}
	return OutcomeUnreachable
}

// fit returns [OutcomeAnswered] if the replica may be asked, or else why not.
func (r *Replica) fit() Outcome {
	_, why := r.demand()
	return why
}

// demand returns the pulse by which the replica is asked: the newest that it had replayed at the
// last look, if enough time is left of it.
func (r *Replica) demand() (heard, Outcome) {
	known, cfg := r.state.Load(), r.set.cfg
	if known.fault != OutcomeAnswered {
		return heard{}, known.fault
	}
	if cfg.unproven {
		return heard{at: cfg.now()}, OutcomeAnswered
	}
	return r.set.pulses.reached(known.replayed, known.history, cfg.now(), cfg.MaxLag-r.set.beat())
}

// failed lets the replica rest: until the next look that finds it well or, after several failures
// in a row, for longer.
func (r *Replica) failed(why *unfitError) {
	if why.unasked {
		return
	}
	known := r.state.Load()
	next := &state{fault: why.outcome, replayed: known.replayed, history: known.history}
	if why.cause != nil {
		next.cause = why.cause.Error()
	}
	switch why.outcome {
	case OutcomeBehind, OutcomeUnheard, OutcomeOtherHistory: // the next look says all
	default:
		n := r.failures.Add(1)
		next.until = r.set.cfg.now().Add(min(r.set.beat()<<min(n-1, 10), longestRest))
	}
	r.state.Store(next)
	if why.outcome == OutcomeUnreachable {
		r.Pool.Reset() // its other sessions are probably cut, too, and each would cost a failure
	}
}

// succeeded notes an answer.
func (r *Replica) succeeded() {
	if r.failures.Load() != 0 {
		r.failures.Store(0)
	}
}

// Status is what operators see of a replica.
type Status struct {
	Name   string
	State  Outcome   // OutcomeAnswered if it can answer
	Cause  string    // in words; "" if the state says all
	WellAt time.Time // when it could answer last, or else when the process began
	// Delay is how far it is behind, as far as that is known.
	Delay *time.Duration
}

// Status returns what operators see of a replica.
func (r *Replica) Status() Status {
	known, now := r.state.Load(), r.set.cfg.now()
	s := Status{Name: r.Name, State: r.fit(), Cause: known.cause}
	if s.State == OutcomeUnheard {
		s.Cause = r.set.unheard()
	}
	if newest, ok := r.set.pulses.newest(); ok && known.history == newest.history && known.replayed > 0 {
		if delay, ok := r.set.pulses.delay(known.replayed, now); ok {
			s.Delay = &delay
		}
	}
	r.mu.Lock()
	s.WellAt = r.wellAt
	r.mu.Unlock()
	return s
}

// silentAfter is after which time without a fit state a replica is mentioned in the log.
const silentAfter = 5 * time.Second

// tell logs when a replica ceases to be fit for more than a moment, and when it is fit again.
func (r *Replica) tell(ctx context.Context) {
	why := r.fit()
	now := r.set.cfg.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if why == OutcomeAnswered {
		if r.silent {
			r.set.cfg.Logger.InfoContext(ctx, "the replica answers again", "replica", r.Name)
		}
		r.silent, r.wellAt = false, now
		return
	}
	if why == OutcomeUnheard && r.set.fails() {
		r.unheardAt = now // the line about the primary says it
		return
	}
	if !r.silent && now.Sub(r.wellAt) > silentAfter && now.Sub(r.unheardAt) > silentAfter {
		r.silent = true
		r.set.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "the replica doesn't answer: other servers answer for it",
			slog.String("replica", r.Name), slog.String("reason", string(why)), slog.String("error", r.state.Load().cause))
	}
}
