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
	// watchTimeout bounds one look at where the URL leads.
	watchTimeout = 2 * time.Second
	// noteAgain is how often it is tried again to note a change while the database can't be written
	// to.
	noteAgain = time.Second
)

// databaseChanged hears of a change from whichever session shows it first. It must not block.
func (s *Service) databaseChanged(c pgpool.Change) {
	s.logger.Error("the database is another one than before: what was acknowledged may be missing, and a sweep begins",
		"change", tell(c))
	select {
	case s.failovers <- c:
	default: // several at once: the first that is noted compares with what the database remembers
	}
}

// tell writes a change for people.
func tell(c pgpool.Change) string {
	if c.Before == c.After {
		return fmt.Sprintf("%s was at position %d of the WAL and is at %d: a backup was put in its place", c.Before, c.FlushedBefore, c.FlushedAfter)
	}
	return fmt.Sprintf("from %s to %s", c.Before, c.After)
}

// watchDatabase compares the database with the one that it was when the last process looked, and
// goes on looking where its URL leads: a failover that cuts no session is noticed, too.
func (s *Service) watchDatabase(ctx context.Context) {
	known := s.lineage.Known()
	if known.Timeline == 0 {
		s.logger.WarnContext(ctx, "Postgres doesn't tell this role which timeline it is on: a failover isn't noticed")
		return
	}
	noted := s.note(ctx, nil)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	watching.Go(func() { s.look(ctx) })
	watching.Go(func() { s.noteChanges(ctx, noted) })
	s.cleanup.Add("watching the database", func(context.Context) error { cancel(); watching.Wait(); return nil })
}

// look opens a session now and then: those of the admin pool don't live any longer.
func (s *Service) look(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.lookOnce(ctx)
		}
	}
}

func (s *Service) lookOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	_ = pgpool.LookWhereItLeads(ctx, s.admins, watchEvery) // /readyz says so
}

// noteChanges notes each change in the database, as soon as that can be written to.
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

// note reports whether there is nothing left to note.
func (s *Service) note(ctx context.Context, seen *pgpool.Change) bool {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	err := s.noteDatabase(ctx, seen)
	if err != nil && ctx.Err() == nil {
		s.logger.WarnContext(ctx, "not noted which database this is: it is tried again", "error", err)
	}
	return err == nil
}

// noteDatabase makes the database remember which one it is. If that is another one than it
// remembers, or this process saw it change otherwise, a sweep is enqueued with it.
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
