package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// SweepState is where a sweep stands. A running one that nobody works on was cut off, and can go on.
type SweepState string

// The states of a sweep. They are stored; never change them.
const (
	SweepRunning   SweepState = "running"
	SweepClean     SweepState = "clean"     // it went through, and the mirror equals Clerk
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
	// Unverified says that the sweep couldn't compare all that decides access. It isn't stored.
	Unverified bool
}

// WentThrough reports whether the sweep compared everything, though it may have met answers that it couldn't go by.
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

// TryLockSweeps reports whether this session is the only one that sweeps now. The lock lasts until [UnlockSweeps], or
// the end of the session.
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

// Now returns the time by the database's clock: what is asked of Clerk afterwards is not older.
func Now(ctx context.Context, db DBTX) (time.Time, error) {
	now, err := queries().Now(ctx, db)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
	}
	return now, nil
}

// ReasonUnreadable is the reason of a sweep that went through but for some objects that can't be read.
const ReasonUnreadable = "unreadable"

// ReasonReadsBehind is the reason of a sweep that went through, and to which Clerk showed states from before what is applied.
const ReasonReadsBehind = "reads_behind"

// StartSweep records that a sweep begins, of which nothing is known yet, and gives up whatever was cut off before and can't go
// on: a whole one goes on later, unless this one is one that may write.
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
	return sweepOf(r), forgetSeen(ctx, db)
}

// forgetSeen forgets what sweeps that can't go on have seen.
func forgetSeen(ctx context.Context, db DBTX) error {
	if err := queries().ForgetSeen(ctx, db); err != nil {
		return fmt.Errorf("forget what was seen: %w", err)
	}
	return nil
}

// UnfinishedSweep returns the whole sweep that was cut off and can go on, if one was at work and began after the given instants;
// else [ErrNotFound].
func UnfinishedSweep(ctx context.Context, db DBTX, workedAfter, beganAfter time.Time) (Sweep, error) {
	return oneSweep(queries().UnfinishedSweep(ctx, db, dbsqlc.UnfinishedSweepParams{WorkedAfter: workedAfter, BeganAfter: beganAfter}))
}

// LastSweep returns the newest whole sweep, or [ErrNotFound].
func LastSweep(ctx context.Context, db DBTX) (Sweep, error) {
	return oneSweep(queries().LastSweep(ctx, db))
}

// LastCleanSweep returns the newest whole sweep that went through, or [ErrNotFound].
func LastCleanSweep(ctx context.Context, db DBTX) (Sweep, error) {
	return oneSweep(queries().LastCleanSweep(ctx, db))
}

func oneSweep(r dbsqlc.RolecallSweep, err error) (Sweep, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return Sweep{}, ErrNotFound
	}
	if err != nil {
		return Sweep{}, fmt.Errorf("read sweep: %w", err)
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

// FinishSweep records how a sweep ended. If it was clean, and of everything that decides access, the mirror is verified as of its
// beginning.
func FinishSweep(ctx context.Context, db DBTX, s Sweep) error {
	err := queries().FinishSweep(ctx, db, dbsqlc.FinishSweepParams{
		ID: s.ID, State: string(s.State), Reason: s.Reason, Progress: s.Progress, Report: s.Report,
	})
	if err != nil {
		return fmt.Errorf("finish sweep: %w", err)
	}
	if err := forgetSeen(ctx, db); err != nil {
		return err
	}
	if s.State != SweepClean || s.DryRun || s.OrganizationID != "" || s.Unverified {
		return nil
	}
	if err := queries().Verify(ctx, db, s.StartedAt); err != nil {
		return fmt.Errorf("record that the mirror is verified: %w", err)
	}
	return nil
}

// See records that a sweep saw objects in a listing, and returns how many of them it hadn't seen before.
func See(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, ids []string) (int, error) {
	fresh, err := queries().See(ctx, db, dbsqlc.SeeParams{SweepID: s.ID, Resource: string(r), Ids: ids})
	if err != nil {
		return 0, fmt.Errorf("record what was seen: %w", err)
	}
	return int(fresh), nil
}

// CountSeen returns how many objects of a resource a sweep has seen.
func CountSeen(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource) (int, error) {
	n, err := queries().CountSeen(ctx, db, dbsqlc.CountSeenParams{SweepID: s.ID, Resource: string(r)})
	if err != nil {
		return 0, fmt.Errorf("count what was seen: %w", err)
	}
	return int(n), nil
}

// PlanForManyRows makes Postgres plan what this transaction asks of a sweep as if there were many rows, until its end.
func PlanForManyRows(ctx context.Context, tx DBTX) error {
	if err := queries().PlanForManyRows(ctx, tx); err != nil {
		return fmt.Errorf("plan for many rows: %w", err)
	}
	return nil
}

// Unseen returns at most limit objects after the given id that live here, haven't changed since the sweep began, and
// weren't listed, in the order of ids.
func Unseen(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, after string, limit int) ([]clerksync.Reference, error) {
	rows, err := queries().Unseen(ctx, db, dbsqlc.UnseenParams{
		SweepID: s.ID, Resource: string(r), After: after, Began: s.StartedAt, OrganizationID: s.OrganizationID,
		PageSize: int32(min(limit, 1<<30)), //nolint:gosec // bounded
	})
	if err != nil {
		return nil, fmt.Errorf("list what wasn't seen: %w", err)
	}
	refs := make([]clerksync.Reference, len(rows))
	for i, row := range rows {
		refs[i] = clerksync.Reference{ID: row.ID, OrganizationID: row.OrganizationID, UserID: row.UserID}
	}
	return refs, nil
}

// Grave is an object that has a tombstone here and was listed by Clerk all the same.
type Grave struct {
	clerksync.Reference

	KnownAt time.Time // when its deletion became known here
	Final   bool      // nothing lifts its tombstone
}

// Buried returns at most limit objects after the given id that had a tombstone before the sweep began and were listed all
// the same, in the order of ids.
func Buried(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, after string, limit int) ([]Grave, error) {
	rows, err := queries().Buried(ctx, db, dbsqlc.BuriedParams{
		SweepID: s.ID, Resource: string(r), After: after, Began: s.StartedAt,
		PageSize: int32(min(limit, 1<<30)), //nolint:gosec // bounded
	})
	if err != nil {
		return nil, fmt.Errorf("list what is dead and was seen: %w", err)
	}
	graves := make([]Grave, len(rows))
	for i, row := range rows {
		ref := clerksync.Reference{ID: row.ID, OrganizationID: row.OrganizationID, UserID: row.UserID}
		final := clerksync.Tombstone{OccurredAt: row.KnownAt.UnixMilli(), DeliveryID: row.Cause}.Final()
		graves[i] = Grave{Reference: ref, KnownAt: row.KnownAt, Final: final}
	}
	return graves, nil
}

// HangingOn counts what lives here, wasn't seen, and goes when an organization or a user goes. One of the ids is "".
func HangingOn(ctx context.Context, db DBTX, s Sweep, organizationID, userID string) (map[clerksync.Resource]int, error) {
	rows, err := queries().HangingOn(ctx, db, dbsqlc.HangingOnParams{
		SweepID: s.ID, Began: s.StartedAt, OrganizationID: organizationID, UserID: userID,
	})
	if err != nil {
		return nil, fmt.Errorf("count what hangs on an object: %w", err)
	}
	counts := map[clerksync.Resource]int{}
	for _, row := range rows {
		counts[clerksync.Resource(row.Resource)] = int(row.Count)
	}
	return counts, nil
}

// MembershipsAtStake returns how many memberships live here, and how many of them would go if everything that wasn't seen
// were gone.
func MembershipsAtStake(ctx context.Context, db DBTX, s Sweep) (live, atStake int, err error) {
	r, err := queries().MembershipsAtStake(ctx, db, dbsqlc.MembershipsAtStakeParams{
		SweepID: s.ID, Began: s.StartedAt, OrganizationID: s.OrganizationID,
	})
	if err != nil {
		return 0, 0, fmt.Errorf("count memberships at stake: %w", err)
	}
	return int(r.Live), int(r.AtStake), nil
}

// ChangedAfter returns those of the objects that were written after the given instant.
func ChangedAfter(ctx context.Context, db DBTX, ids []string, at time.Time) ([]string, error) {
	changed, err := queries().ChangedAfter(ctx, db, dbsqlc.ChangedAfterParams{Ids: ids, AskedAt: at})
	if err != nil {
		return nil, fmt.Errorf("find what changed since: %w", err)
	}
	return changed, nil
}
