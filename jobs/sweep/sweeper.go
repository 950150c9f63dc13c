package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// ErrRunning says that another sweep is under way, in this process or in another one.
var ErrRunning = errors.New("another sweep is running")

// ErrUnreadable says that a sweep went through, except for some objects that can't be read.
// Sweeping again doesn't help.
var ErrUnreadable = errors.New("objects from Clerk can't be read")

const (
	// resumeWithin is how long after its last page an interrupted sweep can be continued. Later it
	// is given up, because much of what it listed would have changed.
	resumeWithin = time.Hour
	// resumeLimit is how long after its beginning it can be continued.
	resumeLimit = 24 * time.Hour
	// minRemovals is how many memberships a sweep may always remove, because a few are a large part
	// of a small instance.
	minRemovals = 10
	// defaultRemovalRatio is the part of all memberships that a sweep may remove without
	// confirmation.
	defaultRemovalRatio = 0.05
)

// Config configures a [Sweeper].
type Config struct {
	// Pool is where the mirror is compared and repaired. A sweep takes one connection of it for as
	// long as it lasts.
	Pool *pgxpool.Pool
	// Clerk is compared with the mirror.
	Clerk Clerk
	// Billing asks whether Clerk Billing is on. If it is nil, the sweep doesn't ask.
	Billing func(ctx context.Context) (clerksync.Billing, error)
	// InstanceID is the Clerk instance of the mirror (ins_…). Defaults to the instance of the
	// deliveries so far.
	InstanceID string
	// MaxRemovalRatio is the part of the live memberships that a sweep may remove without
	// confirmation; it may always remove ten. Defaults to 0.05.
	MaxRemovalRatio float64
	// Settle is how old a local change must be before a look-up may contradict it. It is longer
	// than all of Clerk's servers take to know a change. Defaults to 10 s.
	Settle time.Duration
	// ReadLag is how old a local change must be before a look-up's answer that is dated earlier may
	// contradict it. It is longer than Clerk's reads are ever behind. Defaults to 10 min.
	ReadLag time.Duration
	// ApplyWait is how long a sweep that has removed what is gone waits for deliveries that came
	// before it and aren't applied. Defaults to 20 s: one that a killed process was applying is
	// applied within 12 s.
	ApplyWait time.Duration
	// PageSize is how many objects one call asks for. Defaults to 500, the most that Clerk gives.
	PageSize int
	// examined is how many objects of the mirror one statement examines. Defaults to 2,000: a
	// statement takes some hundredths of a second, or seconds if all has to be read from a slow
	// disk.
	examined int
	// Logger gets one line for each sweep, and one for each object that can't be read.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.MaxRemovalRatio == 0 {
		c.MaxRemovalRatio = defaultRemovalRatio
	}
	if c.Settle == 0 {
		c.Settle = merge.DefaultSettle
	}
	if c.ReadLag == 0 {
		c.ReadLag = merge.DefaultReadLag
	}
	if c.ApplyWait == 0 {
		c.ApplyWait = 20 * time.Second
	}
	if c.PageSize == 0 {
		c.PageSize = maxPageSize
	}
	if c.examined == 0 {
		c.examined = 2000
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.PageSize < 2 || c.PageSize > maxPageSize:
		return fmt.Errorf("sweeper: PageSize must be from 2 to %d", maxPageSize)
	case c.Pool == nil:
		return errors.New("sweeper: Pool is missing")
	case c.Clerk == nil:
		return errors.New("sweeper: Clerk is missing")
	case c.Logger == nil:
		return errors.New("sweeper: Logger is missing")
	case c.MaxRemovalRatio < 0 || c.MaxRemovalRatio > 1:
		return errors.New("sweeper: MaxRemovalRatio must be from 0 to 1")
	default:
		return nil
	}
}

// Sweeper compares the mirror with everything that Clerk lists, and repairs it: a backfill is the
// first sweep.
//
// Pages are merged by the same rule as deliveries, so both may run at once. An object that Clerk
// doesn't list is looked up before it gets a tombstone, and a listed one before its tombstone is
// lifted. An incomplete listing removes nothing.
type Sweeper struct{ cfg Config }

// New returns a sweeper.
func New(cfg Config) (*Sweeper, error) {
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
	TriggerCommand  Trigger = "command"  // an operator asked for it
	TriggerFailover Trigger = "failover" // the database is another one than before
	TriggerOperator Trigger = "operator" // an operator ordered it in the console
)

// Options say what to sweep, and how.
type Options struct {
	Trigger        Trigger
	OrganizationID string // only this organization; "" for all
	DryRun         bool   // compare and change nothing
	Confirm        bool   // remove any number of memberships
	Order          Order  // of an operator; the zero value for none
	TrustClerk     bool   // believe Clerk, also where its answer is older than what is applied
	// Progress is called after each page and look-up. Optional.
	Progress func(Progress)
	// Found is called with each object that differs. Optional.
	Found func(store.FoundDrift)
}

// Order is an operator's order to sweep. The sweep that carries it out keeps it in its report, also
// where a sweep without an order continues that one.
type Order struct {
	ID       int64  `json:"id"`       // of its job
	Operator string `json:"operator"` // the operator's name
	// ConfirmUpTo is how many memberships may be removed even if that is above the limit; 0 for the
	// limit.
	ConfirmUpTo int `json:"confirm_up_to,omitempty"`
}

// Run sweeps. The end of ctx or an error interrupts it; the next full sweep continues from its last
// page. A sweep that a guard stopped is over: Run returns a report that says so, and no error.
// While another sweep runs, it returns [ErrRunning]. What the sweep listed stays stored until
// [store.ForgetListed] is called: that may take longer than a caller has.
func (s *Sweeper) Run(ctx context.Context, opts Options) (Report, error) {
	conn, err := s.cfg.Pool.Acquire(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("connect to sweep: %w", err)
	}
	defer conn.Release()
	if locked, err := store.TryLockSweeps(ctx, conn); err != nil || !locked {
		return Report{}, errors.Join(err, whyNot(locked))
	}
	defer unlock(ctx, conn)
	run := newRun(s.cfg, opts, conn)
	err = run.begin(ctx)
	if err == nil {
		err = run.compare(ctx)
	}
	run.lister.giveUpAhead()
	return run.end(ctx, err)
}

func whyNot(locked bool) error {
	if locked {
		return nil
	}
	return ErrRunning
}

// unlock lets other processes sweep. If it fails, it ends the session, which releases the lock,
// too.
func unlock(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := store.UnlockSweeps(ctx, conn); err != nil {
		_ = conn.Conn().Close(ctx) // it is broken already
	}
}
