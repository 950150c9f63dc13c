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
	// noteAgain is how often it is tried again to note a change while the database can't be written to.
	noteAgain = time.Second
)

// databaseChanged hears of a change from whichever session shows it first. It must not block.
func (p *Service) databaseChanged(c pgpool.Change) {
	p.logger.Error("the database is another one than before: what was acknowledged may be missing, and a sweep begins",
		"change", tell(c))
	select {
	case p.failovers <- c:
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

// watchDatabase compares the database with the one that it was when the last process looked, and goes on looking where its URL leads:
// a failover that cuts no session is noticed, too.
func (p *Service) watchDatabase(ctx context.Context) {
	known := p.lineage.Known()
	if known.Timeline == 0 {
		p.logger.WarnContext(ctx, "Postgres doesn't tell this role which timeline it is on: a failover isn't noticed")
		return
	}
	noted := p.note(ctx, nil)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	watching.Go(func() { p.look(ctx) })
	watching.Go(func() { p.noteChanges(ctx, noted) })
	p.cleanup.Add("watching the database", func(context.Context) error { cancel(); watching.Wait(); return nil })
}

// look opens a session now and then: those of the admin pool don't live any longer.
func (p *Service) look(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.lookOnce(ctx)
		}
	}
}

func (p *Service) lookOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	_ = pgpool.LookWhereItLeads(ctx, p.admins, watchEvery) // /readyz says so
}

// noteChanges notes each change in the database, as soon as that can be written to.
func (p *Service) noteChanges(ctx context.Context, noted bool) {
	var change *pgpool.Change
	for {
		again := time.NewTimer(noteAgain)
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case c := <-p.failovers:
			again.Stop()
			change, noted = &c, p.note(ctx, &c)
		case <-again.C:
			if !noted {
				noted = p.note(ctx, change)
			}
		}
	}
}

// note reports whether there is nothing left to note.
func (p *Service) note(ctx context.Context, seen *pgpool.Change) bool {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	err := p.noteDatabase(ctx, seen)
	if err != nil && ctx.Err() == nil {
		p.logger.WarnContext(ctx, "not noted which database this is: it is tried again", "error", err)
	}
	return err == nil
}

// noteDatabase makes the database remember which one it is. If that is another one than it remembers, or this process saw it change
// otherwise, a sweep is enqueued with it.
func (p *Service) noteDatabase(ctx context.Context, seen *pgpool.Change) error {
	return pgx.BeginFunc(ctx, p.work, func(tx pgx.Tx) error {
		if err := store.LockIdentity(ctx, tx); err != nil {
			return err
		}
		now := p.lineage.Known()
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
