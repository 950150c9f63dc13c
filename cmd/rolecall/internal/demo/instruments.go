package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/cleanup"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/playground"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
)

// instruments show what happens in the service that dev runs, and sweep when they are told to. They
// have connections of their own, some to read and others to sweep: a sweep waits for Clerk.
type instruments struct {
	db      database.DB
	sweeper *sweep.Sweeper
}

// newInstruments opens instruments for a service that runs with the given settings.
func newInstruments(ctx context.Context, cfg config.Config, cleanup *cleanup.Stack, logger *slog.Logger) (*instruments, error) {
	var opened [2]database.DB
	for i := range opened {
		db, err := database.Open(ctx, cfg, "dev", database.SweepNeeds())
		if err != nil {
			return nil, err
		}
		cleanup.Add("instruments", func(context.Context) error { db.Close(); return nil })
		opened[i] = db
	}
	reading, sweeping := opened[0], opened[1]
	clerk, err := cfg.OpenClerk(database.LeaseCalls(reading), logger, nil, nil)
	if err != nil {
		return nil, err
	}
	cleanup.Add("the instruments' client of Clerk", func(context.Context) error { clerk.Close(); return nil })
	sweeper, err := sweep.New(sweep.Config{
		Pool: sweeping.Pool, Clerk: clerk, Billing: clerk.Billing, InstanceID: cfg.InstanceID, MaxRemovalRatio: cfg.MaxRemovalRatio, Logger: logger,
		Settle: noLag, ReadLag: noLag,
	})
	if err != nil {
		return nil, err
	}
	return &instruments{db: reading, sweeper: sweeper}, nil
}

// noLag is how far the simulated Clerk's reads are behind its events. The sweeps of serve wait up
// to ten seconds for something that changed just now.
const noLag = time.Millisecond

// Ledger says what became of webhooks, by their message ids. Those that didn't arrive are left out.
func (i *instruments) Ledger(ctx context.Context, messageIDs []string) (applied []playground.Applied, err error) {
	err = i.db.Snapshot(ctx, func(db store.DBTX) error {
		applied = nil
		for _, id := range messageIDs {
			row, err := store.FindLedgerRow(ctx, db, id)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			a := playground.Applied{MessageID: id, State: string(row.State), ReceivedAt: row.ReceivedAt}
			if row.AppliedAt != nil {
				a.AppliedAt = *row.AppliedAt
			}
			if a.Changes, err = changes(ctx, db, row); err == nil && len(a.Changes) == 0 {
				a.Changes, err = commanded(ctx, db, row)
			}
			if err != nil {
				return err
			}
			applied = append(applied, a)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what became of webhooks: %w", err)
	}
	return applied, nil
}

// changes says in words what a delivery changed.
func changes(ctx context.Context, db store.DBTX, row store.LedgerRow) ([]string, error) {
	logged, err := store.EntriesOfDelivery(ctx, db, row, []string{row.ObjectID, support.UserOfDelivery(row)})
	if err != nil {
		return nil, err
	}
	return sentences(ctx, db, logged)
}

// commandTime is as long as a command takes at most, from its begin to the change at Clerk.
const commandTime = 15 * time.Second

// commanded says in words what the command changed of which a delivery tells. Mostly, Clerk's
// answer to the command was recorded first, and the delivery added nothing to the log. Of several
// changes of its object, it is the last one before the event. A late delivery of another change
// adds an entry.
func commanded(ctx context.Context, db store.DBTX, row store.LedgerRow) ([]string, error) {
	for _, target := range []string{row.ObjectID, support.UserOfDelivery(row)} {
		if target == "" {
			continue
		}
		logged, err := store.AuditEntries(ctx, db, store.AuditQuery{
			OrganizationID: row.OrganizationID, Target: target, Since: row.OccurredAt.Add(-commandTime), Until: row.OccurredAt.Add(time.Millisecond),
		}, 1) // the newest one: what was before it, another delivery tells
		if err != nil {
			return nil, err
		}
		if len(logged) == 1 && strings.HasPrefix(logged[0].Cause, "cmd_") {
			return sentences(ctx, db, logged)
		}
	}
	return nil, nil
}
