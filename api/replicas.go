package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/callmine/rolecall/internal/replica"
	"github.com/callmine/rolecall/internal/rounds"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// A request may read from a replica if it changes nothing and decides nothing that does. Package
// replica proves that what it reads is within the bound. All else reads from the primary, because
// its context names no replica.

// replicaStanding is a standing that a replica answered with, complete up to an instant.
type replicaStanding struct {
	clerksync.Standing

	asOf time.Time
}

// replicaReader reads standings from one replica, as the reader of [server] does from the primary,
// and with a memory of roles of its own: the replica may be at another moment.
type replicaReader struct {
	reader *rounds.Rounds[store.Pair, replicaStanding]
	roles  *store.StandingReader
}

// errUnproven is the error of a replica's answer that doesn't count. The primary is asked then.
var errUnproven = errors.New("the replica's answer doesn't count")

// newReplicaReaders returns a reader for each replica, in their order.
func newReplicaReaders(replicas *replica.Set) (readers []replicaReader) {
	if replicas == nil {
		return nil
	}
	for _, r := range replicas.Replicas() {
		roles := store.NewStandingReader(nil)
		readers = append(readers, replicaReader{roles: roles, reader: newRounds(func(ctx context.Context, pairs []store.Pair) ([]replicaStanding, error) {
			var read []clerksync.Standing
			asOf, unanswered, err := r.Read(ctx, func(db replica.DB) (err error) {
				read, err = roles.ReadFrom(ctx, db, pairs)
				return err
			})
			if unanswered {
				return nil, errors.Join(errUnproven, err)
			}
			if err != nil {
				return nil, err
			}
			standings := make([]replicaStanding, len(read))
			for i, standing := range read {
				standings[i] = replicaStanding{standing, asOf}
			}
			return standings, nil
		})})
	}
	return readers
}

// fromReplicas lets the requests of a route read from replicas.
func (s *server) fromReplicas(next http.Handler) http.Handler {
	if s.cfg.Replicas == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := s.cfg.Replicas.Begin(r.Context())
		next.ServeHTTP(w, r.WithContext(ctx))
		replica.Of(ctx).End()
	})
}

// standings reads the standing of each pair, without a look-up.
func (s *server) standings(ctx context.Context, pairs ...store.Pair) ([]clerksync.Standing, error) {
	from := replica.Of(ctx)
	if r := from.Replica(); r != nil {
		standings, err := s.standingsOn(ctx, r, from, pairs)
		if err == nil || errors.Is(err, replica.ErrOutdated) {
			return standings, err
		}
		from.Missed(ctx, err)
	}
	if until, ok := from.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	standings, err := s.reader.Ask(ctx, pairs...)
	if err == nil {
		err = from.Answered(time.Time{})
	}
	return standings, err
}

// standingsOn reads standings from a replica.
func (s *server) standingsOn(ctx context.Context, r *replica.Replica, from *replica.Request, pairs []store.Pair) ([]clerksync.Standing, error) {
	answered, err := s.replicas[r.Index()].reader.Ask(ctx, pairs...)
	if err != nil {
		return nil, err
	}
	standings := make([]clerksync.Standing, len(answered))
	for i, a := range answered {
		standings[i] = a.Standing
		if err = from.Answered(a.asOf); err != nil {
			return nil, err
		}
	}
	return standings, nil
}

// rolesOf returns the memory of roles by which a request was answered.
func (s *server) rolesOf(ctx context.Context) *store.StandingReader {
	if r := replica.Of(ctx).Replica(); r != nil {
		return s.replicas[r.Index()].roles
	}
	return s.roles
}

// readFrom runs a read on the replica of the request, or on a database of the primary.
func readFrom[T any](ctx context.Context, primary store.DBTX, run func(context.Context, store.DBTX) (T, error)) (got T, err error) {
	from := replica.Of(ctx)
	if r := from.Replica(); r != nil {
		asOf, unanswered, err := r.Read(ctx, func(db replica.DB) (err error) {
			got, err = run(ctx, db)
			return err
		})
		if !unanswered {
			return got, errors.Join(from.Answered(asOf), err)
		}
		from.Missed(ctx, err)
	}
	ctx, cancel := from.Bound(ctx)
	defer cancel()
	if got, err = run(ctx, primary); err == nil {
		err = from.Answered(time.Time{})
	}
	return got, err
}

// proven answers a read, and once more from the primary if it took so long that what it read first
// doesn't count any more. Nothing is answered by then. The body of another request is read already.
func proven(w http.ResponseWriter, r *http.Request, answer func() error) error {
	err := answer()
	if isRead(r) && errors.Is(err, replica.ErrOutdated) {
		replica.Of(r.Context()).Restart(replica.OutcomeLate)
		w.Header().Del(headerRevision)
		w.Header().Del(headerAsOf)
		err = answer()
	}
	return err
}

// lastCertain says in a refusal for lack of a database how old the last state is that was certain.
// Without replicas, nothing measures that.
func (s *server) lastCertain(w http.ResponseWriter, r *http.Request, p *problem) *problem {
	if replica.Of(r.Context()) == nil {
		return p
	}
	at := s.cfg.Replicas.Certain()
	if at.IsZero() {
		return p
	}
	dated := *p
	dated.AsOf = new(at.UTC())
	w.Header().Set(headerAsOf, dated.AsOf.Format(time.RFC3339Nano))
	return &dated
}
