package service

import (
	"context"
	"errors"
	"fmt"
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
)

// databaseChanged is called by the first session that shows a change. It must not block.
func (s *Service) databaseChanged(c pgpool.Change) {
	s.logger.Error("the database is another one than before: acknowledged deliveries may be missing, and a sweep begins",
		"change", tell(c))
	select {
	case s.failovers <- c:
	default: // another change is waiting: noting it compares the database with its stored identity
	}
}

// tell writes a change for people.
func tell(c pgpool.Change) string {
	if c.Before == c.After {
		return fmt.Sprintf("%s was at position %d of the WAL and is at %d: a backup was put in its place", c.Before, c.FlushedBefore, c.FlushedAfter)
	}
	return fmt.Sprintf("from %s to %s", c.Before, c.After)
}

// watchDatabase compares the database's identity with the stored one, and keeps checking where its
// URL leads. So it also notices a failover that cuts no session, and says when the database goes
// and when it is back.
func (s *Service) watchDatabase(ctx context.Context) {
	tells := s.lineage.Known().Timeline != 0
	noted := tells && s.note(ctx, nil)
	if !tells {
		s.logger.WarnContext(ctx, "this role can't read the timeline of Postgres: a failover won't be noticed")
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	watching.Go(func() { s.look(ctx) })
	if tells {
		watching.Go(func() { s.noteChanges(ctx, noted) })
	}
	s.cleanup.Add("watching the database", func(context.Context) error { cancel(); watching.Wait(); return nil })
}

// look opens a new session at each interval: sessions of the admin pool don't live that long.
func (s *Service) look(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var seen outage
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			began := time.Now()
			if err := s.lookOnce(ctx); ctx.Err() == nil {
				s.saw(ctx, &seen, began, err)
			}
		}
	}
}

func (s *Service) lookOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	return pgpool.LookWhereItLeads(ctx, s.admins, watchEvery)
}

// noteChanges notes each change in the database, as soon as it is writable.
func (s *Service) noteChanges(ctx context.Context, noted bool) {
	var change *pgpool.Change
	for {
		again := time.NewTimer(noteAgain)
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case c := <-s.failovers:
			again.Stop()
			change, noted = &c, s.note(ctx, &c)
		case <-again.C:
			if !noted {
				noted = s.note(ctx, change)
			}
		}
	}
}

// note tries to note the database's identity, and reports success.
func (s *Service) note(ctx context.Context, seen *pgpool.Change) bool {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	err := s.noteDatabase(ctx, seen)
	if err != nil && ctx.Err() == nil {
		s.logger.WarnContext(ctx, "the database's identity wasn't noted: trying again", "error", err)
	}
	return err == nil
}

// noteDatabase stores the database's identity in it. If the stored one differs, or this process saw
// another change, it enqueues a sweep in the same transaction.
func (s *Service) noteDatabase(ctx context.Context, seen *pgpool.Change) error {
	return pgx.BeginFunc(ctx, s.work, func(tx pgx.Tx) error {
		if err := store.LockIdentity(ctx, tx); err != nil {
			return err
		}
		now := s.lineage.Known()
		known, err := store.KnownIdentity(ctx, tx)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		note := store.Identity{System: now.System, Timeline: now.Timeline}
		before := pgpool.Identity{System: known.System, Timeline: known.Timeline}
		switch {
		case errors.Is(err, store.ErrNotFound): // the first process
		case seen != nil && seen.Before == seen.After:
			note.Change = tell(*seen)
		case before.Differs(now):
			note.Change = tell(pgpool.Change{Before: before, After: now})
		case known.Restored: // on the same server
			note.Change = "a dump was restored"
		default: // nothing changed, or another process noted it
			return nil
		}
		if note.Change != "" {
			if err := jobs.SweepAfterFailover(ctx, tx); err != nil {
				return err
			}
		}
		return store.SaveIdentity(ctx, tx, note)
	})
}
