package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Status is what the database knows of how well the mirror follows Clerk. Instants are zero and
// sweeps nil where there is nothing yet.
type Status struct {
	At            time.Time // of this status, by the database's clock
	LastDelivery  time.Time // when the newest delivery came
	OldestWaiting time.Time // when the longest-waiting delivery was received or last replayed
	Waiting       int64     // deliveries that aren't applied yet
	Quarantined   int64     // deliveries that are set aside
	LastSweep     *Sweep    // the newest whole sweep that went through, or that a guard stopped
	FirstClean    *Sweep    // the oldest whole sweep that went through
	LastClean     *Sweep    // the newest
	CurrentSweep  *Sweep    // the sweep that is under way, or was cut off if SweepRunning is false
	SweepRunning  bool      // whether any process sweeps now
	Drift         []DriftTotal
	Needs         NeedsRound // what the rounds over the workspaces have found
	PausedQueues  []string   // queues of jobs that an operator has paused
	Processes     []Process
	ClerkCalls    int64 // to Clerk, of all processes, that count now

	DatabaseChangedAt time.Time // when the database was last noted to have changed
	DatabaseChange    string    // the change in words
	Lost              Lost      // what was acknowledged before the change, and is known to be missing
}

// ReadStatus reads the status. It runs several queries, which may see different moments.
func ReadStatus(ctx context.Context, db DBTX) (s Status, err error) {
	if s.At, err = Now(ctx, db); err != nil {
		return s, err
	}
	if s.LastDelivery, err = LastDelivery(ctx, db); err != nil {
		return s, err
	}
	if s.OldestWaiting, err = WaitsSince(ctx, db); err != nil {
		return s, err
	}
	if s.Waiting, s.Quarantined, err = LedgerCounts(ctx, db); err != nil {
		return s, err
	}
	if err := s.readSweeps(ctx, db); err != nil {
		return s, err
	}
	if s.Drift, err = DriftTotals(ctx, db); err != nil {
		return s, err
	}
	if s.PausedQueues, err = queries().PausedQueues(ctx, db); err != nil {
		return s, fmt.Errorf("read paused queues: %w", err)
	}
	if s.Processes, err = Processes(ctx, db); err != nil {
		return s, err
	}
	if s.ClerkCalls, err = CountedCalls(ctx, db); err != nil {
		return s, err
	}
	if s.Needs, err = ReadNeedsRound(ctx, db); err != nil {
		return s, err
	}
	if s.Lost, err = ReadLost(ctx, db); err != nil {
		return s, err
	}
	return s, s.readIdentity(ctx, db)
}

func (s *Status) readIdentity(ctx context.Context, db DBTX) error {
	known, err := KnownIdentity(ctx, db)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if known.ChangedAt != nil {
		s.DatabaseChangedAt, s.DatabaseChange = *known.ChangedAt, known.Change
	}
	return err
}

func (s *Status) readSweeps(ctx context.Context, db DBTX) (err error) {
	if s.LastSweep, err = LastEndedSweep(ctx, db); err != nil {
		return err
	}
	if s.FirstClean, err = ifAny(oneSweep(queries().FirstCleanSweep(ctx, db))); err != nil {
		return err
	}
	if s.LastClean, err = ifAny(LastCleanSweep(ctx, db)); err != nil {
		return err
	}
	if s.CurrentSweep, err = ifAny(oneSweep(queries().CurrentSweep(ctx, db))); err != nil {
		return err
	}
	if s.SweepRunning, err = queries().SweepRunning(ctx, db, sweepLock); err != nil {
		return fmt.Errorf("read lock of sweeping: %w", err)
	}
	return nil
}

// ifAny returns nil and no error for [ErrNotFound].
func ifAny(s Sweep, err error) (*Sweep, error) {
	if errors.Is(err, ErrNotFound) {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	return &s, err
}

// LastDelivery returns when the newest delivery came; zero if none ever did.
func LastDelivery(ctx context.Context, db DBTX) (time.Time, error) {
	newest, err := LedgerRows(ctx, db, Filter{Limit: 1})
	if err != nil || len(newest) == 0 {
		return time.Time{}, err
	}
	return newest[0].ReceivedAt, nil
}

// LedgerCounts returns how many deliveries wait to be applied, and how many are set aside.
func LedgerCounts(ctx context.Context, db DBTX) (waiting, quarantined int64, err error) {
	r, err := queries().LedgerCounts(ctx, db)
	if err != nil {
		return 0, 0, fmt.Errorf("count deliveries: %w", err)
	}
	return r.Waiting, r.Quarantined, nil
}

// OldestReceived returns when the oldest delivery that still waits to be applied was received; zero
// if none waits.
func OldestReceived(ctx context.Context, db DBTX) (time.Time, error) {
	at, err := queries().OldestReceivedAt(ctx, db)
	return at, atMostOneRow(err, "read oldest received delivery")
}

// WaitsSince returns when the longest-waiting delivery was received or last replayed; zero if none
// waits.
func WaitsSince(ctx context.Context, db DBTX) (time.Time, error) {
	at, err := queries().WaitsSince(ctx, db)
	return at, atMostOneRow(err, "read longest wait")
}
