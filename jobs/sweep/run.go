package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// run is a sweep that this process works on. Its parts list, look up and merge. They share one
// [state], and learn from its progress and its report what the others did.
type run struct {
	*state

	lister    *lister
	confirmer *confirmer
}

func newRun(cfg Config, opts Options, conn *pgxpool.Conn) *run {
	s := &state{cfg: cfg, opts: opts, conn: conn}
	s.clerk = counting{cfg.Clerk, &s.calls}
	read, write := &reader{s}, &merger{s}
	settle := &settler{state: s, reader: read, merger: write}
	return &run{
		state:     s,
		lister:    &lister{state: s, reader: read, merger: write, settler: settle},
		confirmer: &confirmer{state: s, reader: read, merger: write, settler: settle},
	}
}

// begin continues an interrupted sweep, or begins one. It refuses a secret key of another instance
// before anything else is asked of Clerk.
func (r *run) begin(ctx context.Context) error {
	now, err := store.Now(ctx, r.conn)
	if err != nil {
		return err
	}
	clean, err := store.LastCleanSweep(ctx, r.conn)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r.lastClean = clean.StartedAt
	if err := r.inherit(ctx); err != nil {
		return err
	}
	instance, err := r.clerk.Instance(ctx)
	refused := askingError(ctx, instanceResource, err)
	if refused == nil {
		refused = r.checkInstance(ctx, instance.ID)
	}
	if refused != nil && guardOf(refused) == nil {
		return refused
	}
	if refused == nil && r.resumable() {
		unfinished, err := store.UnfinishedSweep(ctx, r.conn, r.opts.DryRun, r.opts.Order.ID, now.Add(-resumeWithin), now.Add(-resumeLimit))
		if err == nil && unfinished.InstanceID == instance.ID {
			return r.resume(unfinished)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return errors.Join(refused, r.start(ctx, instance.ID, refused == nil && r.opts.OrganizationID == "" && !r.opts.DryRun))
}

// resumable reports whether an interrupted sweep can be continued with these options. Of the dry
// runs, only an ordered one can: it is worked in slices, and its report has all that it found.
func (r *run) resumable() bool {
	return r.opts.OrganizationID == "" && !r.opts.TrustClerk && (!r.opts.DryRun || r.opts.Order.ID != 0)
}

// inherit takes two things from the report of the sweep before. One is the time of the newest
// change that no delivery reported: after its repair, webhooks may still be missing. The other is
// Clerk's last answer about Billing, until there is a newer one.
func (r *run) inherit(ctx context.Context) error {
	last, err := store.LastSweep(ctx, r.conn)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	report, err := ReadReport(last)
	if err != nil {
		return err
	}
	r.report.NewestDrift = report.NewestDrift
	r.report.Billing = report.Billing
	return nil
}

// checkInstance refuses a secret key of another instance than the mirror's.
func (r *run) checkInstance(ctx context.Context, id string) (err error) {
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

// start begins a sweep. A full one that writes replaces an interrupted one.
func (r *run) start(ctx context.Context, instanceID string, full bool) error {
	r.progress = listing(r.resources()[0])
	r.sweep = store.Sweep{
		Trigger: string(r.opts.Trigger), OrganizationID: r.opts.OrganizationID, DryRun: r.opts.DryRun, InstanceID: instanceID,
	}
	if err := r.pack(r.progress, r.report); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) (err error) {
		if r.sweep, err = store.StartSweep(ctx, tx, r.sweep, full); err != nil {
			return err
		}
		r.report.SweepID = r.sweep.Name()
		r.report.InstanceID = instanceID
		r.report.OrganizationID = r.opts.OrganizationID
		r.report.DryRun = r.opts.DryRun
		r.noteOrder()
		return nil
	})
}

func (r *run) resume(s store.Sweep) error {
	r.sweep = s
	var err error
	if r.report, err = ReadReport(s); err != nil {
		return err
	}
	if r.progress, err = readProgress(s); err != nil {
		return err
	}
	r.noteOrder()
	r.calls.Add(int64(r.report.Calls))
	r.nested = r.unlisted(clerksync.ResourcePermission)
	return nil
}

// noteOrder notes the order that the sweep carries out from now on. What was confirmed before stays
// confirmed.
func (r *run) noteOrder() {
	if r.opts.Order.ID == 0 {
		return
	}
	order := r.opts.Order
	order.ConfirmUpTo = max(order.ConfirmUpTo, r.report.confirmedUpTo())
	r.report.Order = &order
}

// compare lists everything, decides whether to continue, and confirms the differences: again, if
// deliveries that came before the sweep were applied meanwhile.
func (r *run) compare(ctx context.Context) error {
	if err := r.confirmer.settler.settle(ctx); err != nil { // of an interrupted sweep
		return err
	}
	if err := r.lister.list(ctx); err != nil {
		return err
	}
	if err := r.confirmer.brake(ctx); err != nil {
		return err
	}
	if err := r.confirmer.confirm(ctx); err != nil {
		return err
	}
	if err := r.confirmer.confirmAgain(ctx); err != nil {
		return err
	}
	r.askForBilling(ctx)
	return r.unconfirmed()
}

// end records how the sweep ended, and returns its report. An interrupted sweep stays as its last
// page left it.
func (r *run) end(ctx context.Context, err error) (Report, error) {
	if r.sweep.ID == 0 { // it didn't begin
		r.report.interrupted(err)
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
		r.abort(string(guard.reason))
		r.report.abort(guard.reason, guard.detail)
	case err != nil:
		r.report.interrupted(err)
		return r.report, err
	case r.report.Unreadable > 0:
		r.abort(store.ReasonUnreadable)
	case r.report.Behind > 0:
		r.abort(store.ReasonReadsBehind)
		r.report.abort(ReasonReadsBehind, fmt.Sprintf("objects that Clerk showed in an older state than is applied here: %d", r.report.Behind))
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

// abort notes in the sweep's row why it doesn't count as clean.
func (r *run) abort(reason string) {
	r.sweep.State = store.SweepAborted
	r.sweep.Reason = reason
}

// failed notes that Clerk failed at this place, and gives the sweep up after maxFailures in a row.
func (r *run) failed(ctx context.Context, err error) error {
	next := r.progress
	next.Failures++
	if next.Failures >= maxFailures {
		return &guardError{ReasonListingIncomplete, fmt.Sprintf("Clerk failed %d times in a row: %v", next.Failures, err)}
	}
	return errors.Join(err, r.save(ctx, next))
}

func (r *run) log(ctx context.Context) {
	level := slog.LevelInfo
	if r.report.Aborted || r.report.Unreadable > 0 {
		level = slog.LevelError
	}
	r.cfg.Logger.Log(ctx, level, "sweep ended", "sweep_id", r.report.SweepID, "trigger", r.sweep.Trigger, "state", r.sweep.State,
		"reason", r.sweep.Reason, "detail", r.report.Detail, "missing", r.report.Missing, "stale", r.report.Stale, "extra", r.report.Extra,
		"behind", r.report.Behind, "repaired", r.report.Repaired, "unreadable", r.report.Unreadable, "refused", len(r.report.Refused),
		"calls", r.report.Calls, "duration_ms", r.report.DurationMS)
}

// unconfirmed stops the sweep at its end if Clerk refused a look-up that the sweep needs.
// Everything else is repaired then, but the mirror isn't known to be equal to Clerk.
func (r *run) unconfirmed() error {
	for _, f := range r.report.Refused {
		if needed(f.Resource) {
			return &refusedError{Refused: f}
		}
	}
	return nil
}
