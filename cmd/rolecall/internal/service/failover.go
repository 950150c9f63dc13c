package service

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
)

const (
	// watchTimeout bounds one check of where the URL leads.
	watchTimeout = 2 * time.Second
	// noteAgain is the pause between tries to note a change while the database is read-only.
	noteAgain = time.Second
	// findTimeout bounds one search for all that is remembered: some ten thousand ids.
	findTimeout = 10 * time.Second
)

// change is what is to be noted in the database.
type change struct {
	pgpool.Change

	// lacks says that the database lacks something that was acknowledged from since on, and no
	// session showed another server. So it is noticed, too, where the role can't see the timeline,
	// and if a backup was restored in place.
	lacks bool
	since time.Time
}

// databaseChanged is called by the first session that shows a change. It must not block.
func (s *Service) databaseChanged(c pgpool.Change) {
	s.logger.Error("the database is another one than before: acknowledged deliveries may be missing, and a sweep begins",
		"change", tell(c))
	s.toNote(change{Change: c})
}

func (s *Service) toNote(c change) {
	select {
	case s.failovers <- c:
	default: // another change is waiting: noting it compares the database with its stored identity
	}
}

// tell writes a change for people.
func tell(c pgpool.Change) string {
	if c.Before == c.After {
		return fmt.Sprintf("%s was at position %s of the WAL and is at %s: a backup was put in its place",
			c.Before, position(c.FlushedBefore), position(c.FlushedAfter))
	}
	told := fmt.Sprintf("from %s to %s", c.Before, c.After)
	if c.FlushedBefore != 0 && c.FlushedAfter != 0 {
		told += fmt.Sprintf(": the old one had written up to %s at least, and the new one was at %s when it was found", position(c.FlushedBefore), position(c.FlushedAfter))
	}
	return told
}

// position writes a position in the WAL as Postgres does.
func position(n uint64) string { return fmt.Sprintf("%X/%X", n>>32, n&math.MaxUint32) }

// watchDatabase compares the database's identity with the stored one, and keeps checking where its
// URL leads, and whether it still has what was acknowledged. So it also notices a failover that
// cuts no session, and says when the database goes and when it is back.
func (s *Service) watchDatabase(ctx context.Context) {
	if s.lineage.Known().Timeline == 0 {
		s.logger.WarnContext(ctx, "this role can't read the timeline of Postgres: a failover is only noticed if it loses what this process acknowledged")
	}
	noted := s.note(ctx, nil)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	watching.Go(func() { s.look(ctx) })
	watching.Go(func() { s.noteChanges(ctx, noted) })
	watching.Go(func() { s.lookAtOtherHosts(ctx) })
	s.cleanup.Add("watching the database", func(context.Context) error { cancel(); watching.Wait(); return nil })
}

// look opens a new session at each interval: sessions of the admin pool don't live that long.
func (s *Service) look(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var seen outage
	complete := time.Now() // when all that was acknowledged was there last
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			began := time.Now()
			err := s.lookOnce(ctx)
			if ctx.Err() != nil {
				return
			}
			s.saw(ctx, &seen, began, err)
			if err == nil && s.lookForAcknowledged(ctx, complete) {
				complete = began
			}
		}
	}
}

func (s *Service) lookOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	return pgpool.LookWhereItLeads(ctx, s.admins, watchEvery)
}

// noteChanges notes each change in the database, as soon as it is writable, and then what the
// database lacks.
func (s *Service) noteChanges(ctx context.Context, noted bool) {
	var latest *change
	found := true
	for {
		again := time.NewTimer(noteAgain)
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case c := <-s.failovers:
			latest, noted, found = &c, false, false
		case <-again.C:
		}
		again.Stop()
		if !noted {
			noted = s.note(ctx, latest)
		}
		if noted && !found {
			found = s.noteLost(ctx)
		}
	}
}

// note tries to note the database's identity, and reports success.
func (s *Service) note(ctx context.Context, seen *change) bool {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	err := s.noteDatabase(ctx, seen)
	if err != nil && ctx.Err() == nil {
		s.logger.WarnContext(ctx, "the database's identity wasn't noted: trying again", "error", err)
	}
	s.health.Forget()
	return err == nil
}

// noteDatabase stores the database's identity in it. If the stored one differs, or this process saw
// another change, it enqueues a sweep in the same transaction.
func (s *Service) noteDatabase(ctx context.Context, seen *change) error {
	var now store.Identity
	err := pgx.BeginFunc(ctx, s.work, func(tx pgx.Tx) error {
		if err := store.LockIdentity(ctx, tx); err != nil {
			return err
		}
		known, err := store.KnownIdentity(ctx, tx)
		if errors.Is(err, store.ErrNotFound) { // the first process
			now, err = s.saveIdentity(ctx, tx, "")
			return err
		}
		if err != nil {
			return err
		}
		what, err := s.changeSince(ctx, tx, known, seen)
		if now = known; err != nil || what == "" {
			return err
		}
		if err := jobs.SweepAfterFailover(ctx, tx); err != nil {
			return err
		}
		now, err = s.saveIdentity(ctx, tx, what)
		return err
	})
	if err == nil {
		s.history = now.History
	}
	return err
}

// saveIdentity notes the present server, and returns what is noted then.
func (s *Service) saveIdentity(ctx context.Context, tx pgx.Tx, what string) (store.Identity, error) {
	now := s.lineage.Known()
	if err := store.SaveIdentity(ctx, tx, store.Identity{System: now.System, Timeline: now.Timeline, Change: what}); err != nil {
		return store.Identity{}, err
	}
	return store.KnownIdentity(ctx, tx)
}

// changeSince returns what has changed since the database's identity was noted; "" if nothing has,
// or if another process noted it.
func (s *Service) changeSince(ctx context.Context, db store.DBTX, known store.Identity, seen *change) (string, error) {
	now := s.lineage.Known()
	before := pgpool.Identity{System: known.System, Timeline: known.Timeline}
	switch {
	case seen != nil && !seen.lacks && seen.Before == seen.After:
		return tell(seen.Change), nil
	case before.Differs(now) && seen != nil && !seen.lacks && seen.After == now:
		return tell(seen.Change), nil
	case before.Differs(now):
		return tell(pgpool.Change{Before: before, After: now}), nil
	case known.Restored: // on the same server
		return "a dump was restored", nil
	case seen != nil && seen.lacks && known.History == s.history:
		if lacks, err := s.acknowledged.Lacks(ctx, db, seen.since); err != nil || !lacks {
			return "", err
		}
		return "it lacks what was acknowledged", nil
	default:
		return "", nil
	}
}
