package console

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func (c *Console) sweepPages() []page {
	return []page{
		{path: "/sweeps", title: "Sweeps", template: "sweeps", load: c.sweepList},
		{path: "/sweeps/{number}", title: "Sweep", template: "sweep", load: c.sweep},
	}
}

const (
	sweepsShown = 30
	ordersShown = 10
)

// ranSweep is a sweep with its report.
type ranSweep struct {
	store.Sweep

	Number string // in the path of its page
	Report sweep.Report
}

func readSweep(s store.Sweep) (ranSweep, error) {
	report, err := sweep.ReadReport(s)
	return ranSweep{s, strconv.FormatInt(s.ID, 10), report}, err
}

// Took returns how long the sweep lasted, or lasts so far.
func (s ranSweep) Took() time.Duration {
	if s.FinishedAt != nil {
		return s.FinishedAt.Sub(s.StartedAt)
	}
	return s.UpdatedAt.Sub(s.StartedAt)
}

// Why returns why the sweep began, in words.
func (s ranSweep) Why() string {
	switch sweep.Trigger(s.Trigger) {
	case sweep.TriggerInterval:
		return "as scheduled"
	case sweep.TriggerRoles:
		return "because roles changed"
	case sweep.TriggerCommand:
		return "by a command"
	case sweep.TriggerFailover:
		return "because the database changed"
	case sweep.TriggerOperator:
		if s.Report.Order != nil {
			return "ordered by " + s.Report.Order.Operator
		}
		return "ordered by an operator"
	default:
		return s.Trigger
	}
}

// Outcome returns how the sweep ended, in words.
func (s ranSweep) Outcome() string {
	switch {
	case s.State == store.SweepRunning:
		return "running"
	case s.State == store.SweepAbandoned:
		return "cut off"
	case s.Reason == store.ReasonReadsBehind:
		return "reads behind"
	case s.Reason == store.ReasonUnreadable:
		return "unreadable objects"
	case s.State == store.SweepAborted:
		return "stopped"
	case s.DryRun:
		return "compared"
	default:
		return "clean"
	}
}

// Advice says what to do about a guard; "" for nothing.
func (s ranSweep) Advice() string {
	if s.State != store.SweepAborted {
		return ""
	}
	return health.AdviceFor(sweep.GuardReason(s.Reason))
}

// Confirmable reports whether too many removals stopped the sweep, so that an operator can confirm
// their number.
func (s ranSweep) Confirmable() bool {
	return s.OrganizationID == "" && s.State == store.SweepAborted && sweep.GuardReason(s.Reason) == sweep.ReasonRemovalRatio && s.Report.AtStake > 0
}

// FoundAll reports whether the report names all objects that differed.
func (s ranSweep) FoundAll() bool { return s.Report.FoundAll() }

// sweepsPage is the data of the template "sweeps".
type sweepsPage struct {
	Current *health.SweepPlace
	Runs    bool // a process sweeps now
	Orders  []jobs.OrderedSweep
	Sweeps  []ranSweep
	Pager   pager
	Stopped *ranSweep // the newest full sweep, if its removals can be confirmed
	CanPost bool
	CanRun  bool // a process is up that sweeps
}

// sweepList loads the list of sweeps.
func (c *Console) sweepList(ctx context.Context, v *visit) (any, error) {
	var before int64
	if err := v.cursor(&before); err != nil {
		return nil, err
	}
	now, err := c.cfg.Situation()
	if err != nil {
		return nil, err
	}
	shown, err := health.SnapshotOf(now)
	if err != nil {
		return nil, err
	}
	p := sweepsPage{Current: shown.CurrentSweep, Runs: shown.SweepRunning, CanPost: v.operator != "", CanRun: sweepingProcess(shown)}
	if p.Orders, err = openOrders(ctx, v.db); err != nil {
		return nil, err
	}
	rows, err := store.Sweeps(ctx, v.db, before, sweepsShown+1)
	if err != nil {
		return nil, err
	}
	p.Pager = v.following(nil)
	if len(rows) > sweepsShown {
		rows = rows[:sweepsShown]
		p.Pager = v.following(rows[len(rows)-1].ID)
	}
	for _, r := range rows {
		s, err := readSweep(r)
		if err != nil {
			return nil, err
		}
		p.Sweeps = append(p.Sweeps, s)
	}
	p.Stopped, err = stopped(ctx, v.db)
	return p, err
}

// openOrders returns the orders that haven't ended, and those that were given up lately.
func openOrders(ctx context.Context, db store.DBTX) ([]jobs.OrderedSweep, error) {
	orders, err := jobs.SweepOrders(ctx, db, ordersShown)
	return slices.DeleteFunc(orders, func(o jobs.OrderedSweep) bool { return o.Ended() && o.Failure == "" }), err
}

// sweepingProcess reports whether a process is up that carries orders out.
func sweepingProcess(shown health.Snapshot) bool {
	return slices.ContainsFunc(shown.Processes, func(p health.Process) bool { return p.Sweeps && p.Silent == nil })
}

// stopped returns the newest full sweep if too many removals stopped it; nil otherwise.
func stopped(ctx context.Context, db store.DBTX) (*ranSweep, error) {
	last, err := store.LastEndedSweep(ctx, db)
	if err != nil || last == nil {
		return nil, err
	}
	s, err := readSweep(*last)
	if err != nil || !s.Confirmable() {
		return nil, err
	}
	return &s, nil
}

// sweepPage is the data of the template "sweep".
type sweepPage struct {
	ranSweep

	Kinds     []kindCount
	Stakes    []stake
	Place     *health.SweepPlace // of a running one
	Runs      bool               // a process works on it
	Newer     bool               // a later full sweep has ended, so that there is nothing to confirm
	CanPost   bool
	CanRun    bool
	Workspace string // name of the only one that was swept
}

type kindCount struct {
	Kind clerksync.Resource
	sweep.KindOfReport
}

type stake struct {
	sweep.Stake

	Name string
}

// sweep loads the page of one sweep.
func (c *Console) sweep(ctx context.Context, v *visit) (any, error) {
	row, err := store.FindSweep(ctx, v.db, "sweep_"+v.PathValue("number"))
	if errors.Is(err, store.ErrNotFound) {
		return nil, missing("There is no report of this sweep",
			"The number is wrong, or the report was pruned after `ROLECALL_LEDGER_RETENTION`. What the sweep changed is still in the audit log.")
	}
	if err != nil {
		return nil, err
	}
	p := sweepPage{CanPost: v.operator != ""}
	if p.ranSweep, err = readSweep(row); err != nil {
		return nil, err
	}
	v.title = "Sweep " + p.Number
	now, err := c.cfg.Situation()
	if err != nil {
		return nil, err
	}
	shown, err := health.SnapshotOf(now)
	if err != nil {
		return nil, err
	}
	p.CanRun = sweepingProcess(shown)
	if shown.CurrentSweep != nil && shown.CurrentSweep.SweepID == row.Name() {
		p.Place, p.Runs = shown.CurrentSweep, shown.SweepRunning
	}
	last, err := store.LastEndedSweep(ctx, v.db)
	if err != nil {
		return nil, err
	}
	p.Newer = last != nil && last.ID > row.ID
	for _, kind := range clerksync.Resources() {
		if n := p.Report.ByKind[kind]; n != nil {
			p.Kinds = append(p.Kinds, kindCount{kind, *n})
		}
	}
	return p, p.readNames(ctx, v.db)
}

// readNames finds the names of the workspaces that the report names.
func (p *sweepPage) readNames(ctx context.Context, db store.DBTX) error {
	ids := []string{p.OrganizationID}
	for _, s := range p.Report.Stakes {
		ids = append(ids, s.OrganizationID)
	}
	names, err := store.NamesOf(ctx, db, ids)
	if err != nil {
		return err
	}
	p.Workspace = names[p.OrganizationID]
	for _, s := range p.Report.Stakes {
		p.Stakes = append(p.Stakes, stake{s, names[s.OrganizationID]})
	}
	return nil
}
