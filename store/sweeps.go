package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// SweepState is how far a sweep is. A running sweep without a process was cut off, and can be
// resumed.
type SweepState string

// The states of a sweep. They are stored; never change them.
const (
	SweepRunning   SweepState = "running"
	SweepClean     SweepState = "clean"     // it went through: the mirror equals Clerk
	SweepAborted   SweepState = "aborted"   // a guard stopped it
	SweepAbandoned SweepState = "abandoned" // it was cut off, and another one began
)

// Sweep is one comparison of the mirror with Clerk's API.
type Sweep struct {
	ID             int64
	Trigger        string // why it began
	OrganizationID string // "" for all
	DryRun         bool
	InstanceID     string    // ins_… of the secret key
	StartedAt      time.Time // by the database's clock, as all instants of a sweep
	UpdatedAt      time.Time // of its last page
	FinishedAt     *time.Time
	State          SweepState
	Reason         string          // why it was aborted
	Progress       json.RawMessage // where to go on
	Report         json.RawMessage // counts so far
	// Unverified says that the sweep couldn't compare everything that decides access. It isn't
	// stored.
	Unverified bool
}

// Name returns what the sweep is called in audit entries, versions, reports and alarms.
func (s Sweep) Name() string { return clerksync.SweepCause(s.ID) }

// WentThrough reports whether the sweep compared everything, even if it couldn't use some of the
// answers.
func (s Sweep) WentThrough() bool {
	return s.State == SweepClean || s.State == SweepAborted && (s.Reason == ReasonUnreadable || s.Reason == ReasonReadsBehind)
}

func sweepOf(r dbsqlc.RolecallSweep) Sweep {
	return Sweep{
		ID: r.ID, Trigger: r.Trigger, OrganizationID: r.OrganizationID, DryRun: r.DryRun, InstanceID: r.InstanceID,
		StartedAt: r.StartedAt, UpdatedAt: r.UpdatedAt, FinishedAt: r.FinishedAt, State: SweepState(r.State), Reason: r.Reason,
		Progress: r.Progress, Report: r.Report,
	}
}

// sweepLock is the advisory lock of sweeping. The number is arbitrary; it must never change.
const sweepLock = 0x726f6c6563616c73 // "rolecals", next to the lock of taking over

// TryLockSweeps reports whether this session is the only one that sweeps now. The lock lasts until
// [UnlockSweeps], or until the session ends.
func TryLockSweeps(ctx context.Context, db DBTX) (bool, error) {
	locked, err := queries().TryLockSweeps(ctx, db, sweepLock)
	if err != nil {
		return false, fmt.Errorf("lock sweeps: %w", err)
	}
	return locked, nil
}

// UnlockSweeps lets others sweep.
func UnlockSweeps(ctx context.Context, db DBTX) error {
	if err := queries().UnlockSweeps(ctx, db, sweepLock); err != nil {
		return fmt.Errorf("unlock sweeps: %w", err)
	}
	return nil
}

// ReasonUnreadable is the reason of a sweep that went through, but couldn't read some objects.
const ReasonUnreadable = "unreadable"

// ReasonReadsBehind is the reason of a sweep that went through while Clerk showed older states than
// what is applied.
const ReasonReadsBehind = "reads_behind"

// StartSweep records a new sweep and abandons interrupted ones that can't be resumed. An
// interrupted full sweep stays resumable, unless whole says that the new sweep is itself a full one
// that writes.
func StartSweep(ctx context.Context, db DBTX, s Sweep, whole bool) (Sweep, error) {
	r, err := queries().StartSweep(ctx, db, dbsqlc.StartSweepParams{
		Trigger: s.Trigger, OrganizationID: s.OrganizationID, DryRun: s.DryRun, InstanceID: s.InstanceID,
		Progress: s.Progress, Report: s.Report,
	})
	if err != nil {
		return Sweep{}, fmt.Errorf("start sweep: %w", err)
	}
	err = queries().AbandonSweeps(ctx, db, dbsqlc.AbandonSweepsParams{ExceptID: r.ID, Whole: whole})
	if err != nil {
		return Sweep{}, fmt.Errorf("abandon sweeps: %w", err)
	}
	return sweepOf(r), nil
}

// UnfinishedSweep returns the full sweep that was interrupted and can be resumed or, for a dry run,
// that of an order. A sweep whose last page is older than workedAfter, or whose beginning is older
// than beganAfter, isn't resumed. If none is left, the error is [ErrNotFound].
func UnfinishedSweep(ctx context.Context, db DBTX, dryRun bool, orderID int64, workedAfter, beganAfter time.Time) (Sweep, error) {
	return oneSweep(queries().UnfinishedSweep(ctx, db, dbsqlc.UnfinishedSweepParams{
		DryRun: dryRun, OrderID: orderID, WorkedAfter: workedAfter, BeganAfter: beganAfter,
	}))
}

// LastSweep returns the newest full sweep, or [ErrNotFound].
func LastSweep(ctx context.Context, db DBTX) (Sweep, error) {
	return oneSweep(queries().LastSweep(ctx, db))
}

// LastCleanSweep returns the newest full sweep that was clean, or [ErrNotFound].
func LastCleanSweep(ctx context.Context, db DBTX) (Sweep, error) {
	return oneSweep(queries().LastCleanSweep(ctx, db))
}

// LastEndedSweep returns the newest full sweep that went through, or that a guard stopped; nil if
// there is none.
func LastEndedSweep(ctx context.Context, db DBTX) (*Sweep, error) {
	return ifAny(oneSweep(queries().LastEndedSweep(ctx, db)))
}

func oneSweep(r dbsqlc.RolecallSweep, err error) (Sweep, error) {
	if err := oneRow(err, "read sweep"); err != nil {
		return Sweep{}, err
	}
	return sweepOf(r), nil
}

// SaveSweep records how far a sweep has come.
func SaveSweep(ctx context.Context, db DBTX, s Sweep) error {
	if err := queries().SaveSweep(ctx, db, dbsqlc.SaveSweepParams{ID: s.ID, Progress: s.Progress, Report: s.Report}); err != nil {
		return fmt.Errorf("save sweep: %w", err)
	}
	return nil
}

// FinishSweep records how a sweep ended. If the sweep is clean and compared everything that decides
// access, the mirror is verified as of the sweep's beginning.
func FinishSweep(ctx context.Context, db DBTX, s Sweep) error {
	err := queries().FinishSweep(ctx, db, dbsqlc.FinishSweepParams{
		ID: s.ID, State: string(s.State), Reason: s.Reason, Progress: s.Progress, Report: s.Report,
	})
	if err != nil {
		return fmt.Errorf("finish sweep: %w", err)
	}
	if s.State != SweepClean || s.DryRun || s.OrganizationID != "" || s.Unverified {
		return nil
	}
	if err := queries().Verify(ctx, db, s.StartedAt); err != nil {
		return fmt.Errorf("record that the mirror is verified: %w", err)
	}
	return nil
}
