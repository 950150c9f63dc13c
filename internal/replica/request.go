package replica

import (
	"context"
	"errors"
	"time"
)

// answerWithin is how long a request may take if neither a replica nor the primary answers: its
// caller learns that within a second.
const answerWithin = 900 * time.Millisecond

// Request is where one request reads: from one replica, and from the primary as soon as that
// doesn't answer. So nothing that it reads is older than what it has read. Its zero value, and nil,
// read from the primary. It isn't safe for concurrent use.
type Request struct {
	set    *Set
	chose  bool      // where it reads is decided
	chosen *Replica  // nil: the primary
	oldest time.Time // up to which its answers of replicas are complete; zero without any
	began  time.Time

	fromPrimary, fromReplica bool // what it was answered by
	outdated                 bool // what it read first doesn't count any more
}

type requestKey struct{}

// Begin returns a context for one request, which may read from replicas.
func (s *Set) Begin(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestKey{}, &Request{set: s, began: s.cfg.now()})
}

// Of returns where a request reads; nil, which is the primary, if none began.
func Of(ctx context.Context) *Request {
	q, _ := ctx.Value(requestKey{}).(*Request)
	return q
}

// Replica returns the replica from which the request reads; nil for the primary. The first call
// chooses it, so that a request that is refused before it reads counts nowhere.
func (q *Request) Replica() *Replica {
	if q == nil {
		return nil
	}
	if !q.chose {
		q.chose, q.chosen = true, q.set.next()
	}
	return q.chosen
}

// Missed counts why the replica of the request gave no answer that counts, by the error of its
// read. The request reads from the primary alone then. A caller who has gone says nothing of the
// replica.
func (q *Request) Missed(ctx context.Context, err error) {
	if q == nil {
		return
	}
	if q.chosen != nil && !errors.Is(ctx.Err(), context.Canceled) {
		q.chosen.count(outcomeOf(err))
	}
	q.chose, q.chosen = true, nil
}

// Restart forgets what the request has read, and counts why. It reads all of it again, from the
// primary.
func (q *Request) Restart(why Outcome) {
	if q == nil {
		return
	}
	if q.chosen != nil {
		q.chosen.count(why)
	}
	q.chose, q.chosen, q.oldest, q.fromPrimary, q.fromReplica, q.outdated = true, nil, time.Time{}, false, false, false
}

// End counts who answered the request, once: the primary, if it answered any part of it, or else
// the replica. A request that read nothing counts nowhere, and one that ends with [ErrOutdated] has
// no answer.
func (q *Request) End() {
	switch {
	case q.outdated && q.chosen != nil:
		q.chosen.count(OutcomeLate)
	case q.outdated:
	case q.fromPrimary:
		q.set.byPrimary.Add(1)
	case q.fromReplica && q.chosen != nil:
		q.chosen.count(OutcomeAnswered)
	}
}

// Answered notes an answer, which is complete up to asOf, or of the primary (zero). It returns
// [ErrOutdated] if the request has read something meanwhile that doesn't count any more.
func (q *Request) Answered(asOf time.Time) error {
	if q == nil {
		return nil
	}
	q.fromPrimary, q.fromReplica = q.fromPrimary || asOf.IsZero(), q.fromReplica || !asOf.IsZero()
	if !asOf.IsZero() && (q.oldest.IsZero() || asOf.Before(q.oldest)) {
		q.oldest = asOf
	}
	if q.outdated = !q.oldest.IsZero() && age(q.oldest, q.set.cfg.now()) > q.set.cfg.MaxLag; q.outdated {
		return ErrOutdated
	}
	return nil
}

// Deadline is until when a decision waits for the primary: beside replicas, it takes milliseconds,
// or the primary is away. ok is false without replicas.
func (q *Request) Deadline() (until time.Time, ok bool) {
	if q == nil {
		return time.Time{}, false
	}
	until, least := q.began.Add(answerWithin), q.set.cfg.now().Add(longestTry) // of a request that waits for a revision
	if until.Before(least) {
		until = least
	}
	return until, true
}

// Bound ends a longer read from the primary at the same time, but only if the primary isn't heard
// by then. The caller calls the returned function at the end.
func (q *Request) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	until, ok := q.Deadline()
	if !ok {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		timer := time.NewTimer(until.Sub(q.set.cfg.now()))
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			if !q.set.Heard() {
				cancel(context.DeadlineExceeded)
				return
			}
			timer.Reset(q.set.beat())
		}
	}()
	return ctx, func() { cancel(nil) }
}
