package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// ErrSweepRunning says that another sweep is under way, in this process or in another one.
var ErrSweepRunning = errors.New("another sweep is running")

// ErrUnreadable says that a sweep went through but for some objects that can't be read. To sweep again doesn't help.
var ErrUnreadable = errors.New("objects from Clerk can't be read")

const (
	// resumeWithin is how long ago a sweep may have been cut off to go on. An older one is given up: much of what it saw would
	// have changed.
	resumeWithin = time.Hour
	// resumeLimit is how old it may be altogether.
	resumeLimit = 24 * time.Hour
	// minRemovals is how many memberships a sweep may always remove: of a small instance, a few are a large part.
	minRemovals = 10
	// defaultRemovalRatio is the part of all memberships that a sweep may remove without being asked.
	defaultRemovalRatio = 0.05
)

// SweeperConfig configures a [Sweeper].
type SweeperConfig struct {
	// Pool is where the mirror is compared and repaired. A sweep takes one connection of it for as long as it lasts.
	Pool *pgxpool.Pool
	// Directory is Clerk.
	Directory Directory
	// Billing asks whether Clerk Billing is on. Nil asks nobody.
	Billing func(ctx context.Context) (clerksync.Billing, error)
	// InstanceID is the Clerk instance of the mirror (ins_…). Empty takes the one of the deliveries so far.
	InstanceID string
	// MaxRemovalRatio is the part of the live memberships that a sweep may remove without being told to (ten it may
	// always). Defaults to 0.05.
	MaxRemovalRatio float64
	// Settle is how long something must have been known here before a look-up may contradict it: longer than it takes until
	// all of Clerk knows. Defaults to 10 s.
	Settle time.Duration
	// ReadLag is how long something must have been known here before a look-up's answer that is dated earlier may contradict
	// it at all: longer than Clerk's reads are ever behind. Defaults to 10 min.
	ReadLag time.Duration
	// PageSize is how many objects one call asks for. Defaults to 500, the most that Clerk gives.
	PageSize int
	// Logger gets one line for each sweep, and one for each object that can't be read.
	Logger *slog.Logger
}

func (c SweeperConfig) withDefaults() SweeperConfig {
	if c.MaxRemovalRatio == 0 {
		c.MaxRemovalRatio = defaultRemovalRatio
	}
	if c.Settle == 0 {
		c.Settle = defaultSettle
	}
	if c.ReadLag == 0 {
		c.ReadLag = defaultReadLag
	}
	if c.PageSize == 0 {
		c.PageSize = maxPageSize
	}
	return c
}

func (c SweeperConfig) validate() error {
	switch {
	case c.PageSize < 2 || c.PageSize > maxPageSize:
		return fmt.Errorf("sweeper: PageSize must be from 2 to %d", maxPageSize)
	case c.Pool == nil:
		return errors.New("sweeper: Pool is missing")
	case c.Directory == nil:
		return errors.New("sweeper: Directory is missing")
	case c.Logger == nil:
		return errors.New("sweeper: Logger is missing")
	case c.MaxRemovalRatio < 0 || c.MaxRemovalRatio > 1:
		return errors.New("sweeper: MaxRemovalRatio must be from 0 to 1")
	default:
		return nil
	}
}

// Sweeper compares the mirror with everything that Clerk lists, and repairs it: a backfill is the first sweep.
//
// A page is merged by the same rule as webhooks, so a sweep and deliveries may run at once. What Clerk doesn't list is looked
// up one by one before it gets a tombstone, and so is what Clerk lists and has one. A listing that fails or falls
// short removes nothing.
type Sweeper struct{ cfg SweeperConfig }

// NewSweeper returns a sweeper.
func NewSweeper(cfg SweeperConfig) (*Sweeper, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Sweeper{cfg: cfg}, nil
}

// Trigger says why a sweep began.
type Trigger string

// The triggers. They are stored; never change them.
const (
	TriggerInterval Trigger = "interval" // or the start of the service
	TriggerRoles    Trigger = "roles"    // a role, or an organization's set of roles, changed
	TriggerCommand  Trigger = "command"  // somebody asked for it
	TriggerFailover Trigger = "failover" // the database is another one than before
)

// SweepOptions say what to sweep, and how.
type SweepOptions struct {
	Trigger        Trigger
	OrganizationID string // only this organization; "" for all
	DryRun         bool   // compare and change nothing
	Confirm        bool   // remove as many memberships as it takes
	TrustClerk     bool   // take what Clerk shows for true, also where it is older than what is applied
	// Progress is told of each page and look-up. Optional.
	Progress func(SweepProgress)
	// Found is told of each object that differs. Optional.
	Found func(store.FoundDrift)
}

// Run sweeps. An end of ctx, or whatever error it returns, cuts it off; the next whole sweep goes on from its last page.
// A sweep that a guard stopped is over; it returns no error, and a report that says so. While another one
// runs it is [ErrSweepRunning].
func (s *Sweeper) Run(ctx context.Context, opts SweepOptions) (SweepReport, error) {
	conn, err := s.cfg.Pool.Acquire(ctx)
	if err != nil {
		return SweepReport{}, fmt.Errorf("connect to sweep: %w", err)
	}
	defer conn.Release()
	if locked, err := store.TryLockSweeps(ctx, conn); err != nil || !locked {
		return SweepReport{}, errors.Join(err, whyNot(locked))
	}
	defer unlock(ctx, conn)
	run := &sweepRun{cfg: s.cfg, opts: opts, conn: conn}
	run.directory = counting{s.cfg.Directory, &run.calls}
	err = run.begin(ctx)
	if err == nil {
		err = run.compare(ctx)
	}
	run.stopAhead(true)
	return run.end(ctx, err)
}

func whyNot(locked bool) error {
	if locked {
		return nil
	}
	return ErrSweepRunning
}

// unlock lets others sweep. If the database doesn't hear of it, the end of the session says so.
func unlock(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := store.UnlockSweeps(ctx, conn); err != nil {
		_ = conn.Conn().Close(ctx) // it is broken already
	}
}

// sweepRun is a sweep that this process works on.
type sweepRun struct {
	cfg       SweeperConfig
	opts      SweepOptions
	conn      *pgxpool.Conn // holds the lock: whoever loses it can't write
	directory Directory
	sweep     store.Sweep
	progress  progress
	report    SweepReport
	calls     atomic.Int64

	fresh int // objects of the last page that this sweep hadn't seen before

	nested bool // permissions are known from the roles that have them: Clerk refuses their own list

	ahead       chan pageResult // the page after the one that is being merged; nil if nobody asks for it
	cancelAhead context.CancelFunc

	lastClean time.Time // when the newest sweep began that went through; zero if none did
}

// begin goes on with a sweep that was cut off, or begins one. It refuses a secret key of another instance before
// anything else is asked of Clerk.
func (r *sweepRun) begin(ctx context.Context) error {
	now, err := store.Now(ctx, r.conn)
	if err != nil {
		return err
	}
	clean, err := store.LastCleanSweep(ctx, r.conn)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r.lastClean = clean.StartedAt
	if err := r.takeOver(ctx); err != nil {
		return err
	}
	instance, err := r.directory.Instance(ctx)
	refused := askingError(ctx, instanceResource, err)
	if refused == nil {
		refused = r.checkInstance(ctx, instance.ID)
	}
	if refused != nil && guardOf(refused) == nil {
		return refused
	}
	if refused == nil && r.opts.OrganizationID == "" && !r.opts.DryRun && !r.opts.TrustClerk {
		unfinished, err := store.UnfinishedSweep(ctx, r.conn, now.Add(-resumeWithin), now.Add(-resumeLimit))
		if err == nil && unfinished.InstanceID == instance.ID {
			return r.resume(unfinished)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return errors.Join(refused, r.start(ctx, instance.ID, refused == nil && r.opts.OrganizationID == "" && !r.opts.DryRun))
}

// takeOver notes what the sweep before knows: the newest change that no delivery told, because silence doesn't end when a sweep has
// repaired what it hid; and what Clerk said of its Billing, until it says something else.
func (r *sweepRun) takeOver(ctx context.Context) error {
	last, err := store.LastSweep(ctx, r.conn)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var report SweepReport
	if err := json.Unmarshal(last.Report, &report); err != nil {
		return fmt.Errorf("read report of sweep %d: %w", last.ID, err)
	}
	r.report.NewestDrift, r.report.Billing = report.NewestDrift, report.Billing
	return nil
}

// checkInstance refuses a secret key of another instance than the mirror's.
func (r *sweepRun) checkInstance(ctx context.Context, id string) (err error) {
	want := r.cfg.InstanceID
	if want == "" {
		if want, err = store.KnownInstance(ctx, r.conn); err != nil {
			return err
		}
	}
	if want == "" || want == id {
		return nil
	}
	return &guardError{ReasonWrongInstance, fmt.Sprintf("the secret key is of instance %s, and the mirror of %s", id, want)}
}

// start begins a sweep. A whole one, which may write, is in the place of any that was cut off.
func (r *sweepRun) start(ctx context.Context, instanceID string, whole bool) error {
	r.progress = progress{Resource: r.resources()[0]}
	r.sweep = store.Sweep{
		Trigger: string(r.opts.Trigger), OrganizationID: r.opts.OrganizationID, DryRun: r.opts.DryRun, InstanceID: instanceID,
	}
	if err := r.pack(r.progress, r.report); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) (err error) {
		if r.sweep, err = store.StartSweep(ctx, tx, r.sweep, whole); err != nil {
			return err
		}
		r.report.SweepID = r.sweep.Name()
		r.report.InstanceID, r.report.OrganizationID, r.report.DryRun = instanceID, r.opts.OrganizationID, r.opts.DryRun
		return nil
	})
}

func (r *sweepRun) resume(s store.Sweep) error {
	r.sweep = s
	if err := errors.Join(json.Unmarshal(s.Progress, &r.progress), json.Unmarshal(s.Report, &r.report)); err != nil {
		return fmt.Errorf("read where sweep %d stands: %w", s.ID, err)
	}
	r.calls.Add(int64(r.report.Calls))
	r.nested = r.unlisted(clerksync.ResourcePermission)
	r.report.SweepID = s.Name()
	return nil
}

// pack writes where the sweep stands into its row.
func (r *sweepRun) pack(p progress, report SweepReport) (err error) {
	report.Calls = int(r.calls.Load())
	if r.sweep.Progress, err = json.Marshal(p); err != nil {
		return fmt.Errorf("write progress of sweep: %w", err)
	}
	if r.sweep.Report, err = json.Marshal(report); err != nil {
		return fmt.Errorf("write report of sweep: %w", err)
	}
	return nil
}

// resources are what the sweep lists: of one organization, only what belongs to it.
func (r *sweepRun) resources() []clerksync.Resource {
	if r.opts.OrganizationID == "" {
		return clerksync.Resources()
	}
	return []clerksync.Resource{
		clerksync.ResourceOrganization, clerksync.ResourceUser, clerksync.ResourceMembership, clerksync.ResourceInvitation,
		clerksync.ResourceDomain,
	}
}

// compare lists everything, decides whether to go on, and confirms what differs.
func (r *sweepRun) compare(ctx context.Context) error {
	if err := r.settleDoubts(ctx); err != nil { // of a sweep that was cut off
		return err
	}
	if err := r.list(ctx); err != nil {
		return err
	}
	if err := r.brake(ctx); err != nil {
		return err
	}
	if err := r.confirm(ctx); err != nil {
		return err
	}
	r.askForBilling(ctx)
	return r.unconfirmed()
}

// end records how the sweep ended, and returns its report. One that was cut off stays as its last page left it.
func (r *sweepRun) end(ctx context.Context, err error) (SweepReport, error) {
	if r.sweep.ID == 0 { // it didn't begin
		r.report.cutOff(err)
		return r.report, err
	}
	r.report.Calls = int(r.calls.Load())
	if now, clockErr := store.Now(ctx, r.conn); clockErr == nil {
		r.report.DurationMS = now.Sub(r.sweep.StartedAt).Milliseconds()
	}
	if errors.Is(err, clerksync.ErrUnavailable) {
		err = r.failed(ctx, err)
	}
	guard := guardOf(err)
	switch {
	case guard != nil:
		r.sweep.State, r.sweep.Reason = store.SweepAborted, string(guard.reason)
		r.report.Aborted, r.report.Reason, r.report.Detail = true, guard.reason, guard.detail
	case err != nil:
		r.report.cutOff(err)
		return r.report, err
	case r.report.Unreadable > 0:
		r.sweep.State, r.sweep.Reason = store.SweepAborted, store.ReasonUnreadable
	case r.report.Behind > 0:
		r.sweep.State, r.sweep.Reason = store.SweepAborted, store.ReasonReadsBehind
		r.report.Aborted, r.report.Reason = true, ReasonReadsBehind
		r.report.Detail = fmt.Sprintf("Clerk showed %d objects as they were before what is applied here", r.report.Behind)
	default:
		r.sweep.State = store.SweepClean
		r.sweep.Unverified = r.unlisted(clerksync.ResourceRole) || r.unlisted(clerksync.ResourcePermission)
	}
	if err := r.pack(r.progress, r.report); err != nil {
		return r.report, err
	}
	if err := pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error { return store.FinishSweep(ctx, tx, r.sweep) }); err != nil {
		return r.report, err
	}
	r.log(ctx)
	if r.report.Unreadable > 0 && guard == nil {
		return r.report, fmt.Errorf("%w: %d, see the log", ErrUnreadable, r.report.Unreadable)
	}
	return r.report, nil
}

// failed notes that Clerk failed at this place, and gives the sweep up if it goes on doing so.
func (r *sweepRun) failed(ctx context.Context, err error) error {
	next := r.progress
	next.Failures++
	if next.Failures >= maxFailures {
		return &guardError{ReasonListingIncomplete, fmt.Sprintf("Clerk failed %d times in a row: %v", next.Failures, err)}
	}
	return errors.Join(err, r.save(ctx, next))
}

func (r *sweepRun) log(ctx context.Context) {
	level := slog.LevelInfo
	if r.report.Aborted || r.report.Unreadable > 0 {
		level = slog.LevelError
	}
	r.cfg.Logger.Log(ctx, level, "sweep ended", "sweep_id", r.report.SweepID, "trigger", r.sweep.Trigger, "state", r.sweep.State,
		"reason", r.sweep.Reason, "detail", r.report.Detail, "missing", r.report.Missing, "stale", r.report.Stale, "extra", r.report.Extra,
		"behind", r.report.Behind, "repaired", r.report.Repaired, "unreadable", r.report.Unreadable, "refused", len(r.report.Refused),
		"calls", r.report.Calls, "duration_ms", r.report.DurationMS)
}
