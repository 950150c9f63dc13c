package sweep

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// state is where a sweep stands, and what its parts share. Its progress and its report are those of
// the sweep's row.
type state struct {
	cfg       Config
	opts      Options
	conn      *pgxpool.Conn // holds the lock: a sweep that loses it can't write
	clerk     Clerk
	sweep     store.Sweep
	progress  progress
	report    Report
	calls     atomic.Int64
	lastClean time.Time // when the newest clean sweep began; zero if there is none
	// nested says that permissions are known from the roles that have them, because Clerk refuses
	// their own list. It changes only while no page is asked for.
	nested bool
}

// pack writes where the sweep stands into its row.
func (s *state) pack(p progress, report Report) (err error) {
	report.Calls = int(s.calls.Load())
	if s.sweep.Progress, err = json.Marshal(p); err != nil {
		return fmt.Errorf("write progress of sweep: %w", err)
	}
	if s.sweep.Report, err = json.Marshal(report); err != nil {
		return fmt.Errorf("write report of sweep: %w", err)
	}
	return nil
}

// save records where the sweep continues.
func (s *state) save(ctx context.Context, next progress) error {
	if err := s.pack(next, s.report); err != nil {
		return err
	}
	s.progress = next
	return store.SaveSweep(ctx, s.conn, s.sweep)
}

// inTx runs a transaction on the connection that holds the lock. An attempt waits only briefly for
// each lock, because a page holds rows of many workspaces. Between attempts, the sweep waits
// without holding rows.
func (s *state) inTx(ctx context.Context, do func(pgx.Tx) error) error {
	trying, giveUp := context.WithCancel(ctx)
	defer giveUp()
	return merge.Thorough().Run(trying, func() error {
		err := pgx.BeginTxFunc(ctx, s.conn, merge.Bounds{Lock: merge.LockWait}.Options(), do)
		if s.conn.Conn().IsClosed() { // and the lock of sweeps is gone
			giveUp()
		}
		return err
	})
}

// resources returns the kinds that the sweep lists: for one organization, only those that belong to
// it.
func (s *state) resources() []clerksync.Resource {
	if s.opts.OrganizationID == "" {
		return clerksync.Resources()
	}
	return []clerksync.Resource{
		clerksync.ResourceOrganization, clerksync.ResourceUser, clerksync.ResourceMembership, clerksync.ResourceInvitation,
		clerksync.ResourceDomain,
	}
}

// unlisted reports whether Clerk refused the list of a kind.
func (s *state) unlisted(resource clerksync.Resource) bool {
	return slices.ContainsFunc(s.report.Refused, func(f Refused) bool { return f.Resource == resource && f.LookUps == 0 })
}

func (s *state) lags() merge.Lags { return merge.Lags{Settle: s.cfg.Settle, Read: s.cfg.ReadLag} }

// waitUntil waits until an instant by the database's clock.
func (s *state) waitUntil(ctx context.Context, at time.Time) error {
	now, err := store.Now(ctx, s.conn)
	if err != nil {
		return err
	}
	return merge.Wait(ctx, at.Sub(now))
}

func (s *state) warnRefused(ctx context.Context, f Refused) {
	s.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "Clerk refuses a part of a sweep", slog.String("sweep_id", s.sweep.Name()),
		slog.String("resource", string(f.Resource)), slog.Int("status", f.Status), slog.String("code", f.Code),
		slog.String("clerk_trace_id", f.TraceID), slog.Bool("look_up", f.LookUps > 0))
}

// reportDrift passes drift on to the caller, if the caller asked for it.
func (s *state) reportDrift(drift []store.FoundDrift) {
	if s.opts.Found == nil {
		return
	}
	for _, d := range drift {
		s.opts.Found(d)
	}
}

// reportProgress passes progress on to the caller, if the caller asked for it.
func (s *state) reportProgress(p Progress) {
	if s.opts.Progress != nil {
		s.opts.Progress(p)
	}
}
