package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// prune does the work of one job, and returns how many rows it forgot.
func (b *bundle) prune(ctx context.Context, keep Retention) (map[Prunable]int, error) {
	forgot := map[Prunable]int{}
	w := &pruneWorker{pool: b.Pool, keep: keep, pruned: func(kind Prunable, rows int) { forgot[kind] += rows }}
	return forgot, w.Work(ctx, &river.Job[PruneArgs]{JobRow: &rivertype.JobRow{}})
}

func (b *bundle) ids(t *testing.T, sql string) []string {
	t.Helper()
	rows, err := b.Pool.Query(t.Context(), sql)
	require.NoError(t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return ids
}

// TestPrune_ForgetsWhatNoLongerCounts: old sessions, old commands, and what ended sweeps listed.
func TestPrune_ForgetsWhatNoLongerCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Exec(t, `INSERT INTO rolecall.ended_sessions (id, ended_at)
		VALUES ('sess_old', now() - interval '193 hours'), ('sess_young', now() - interval '191 hours')`)
	b.Exec(t, `INSERT INTO rolecall.commands (id, actor, action, organization_id, target, outcome, state, begun_at, tried_at)
		SELECT 'cmd_' || age, 'user_1', 'member.removed', 'org_1', 'user_2', '', 'done', now() - age * interval '1 hour', now() - age * interval '1 hour'
		FROM generate_series(23, 25, 2) age`)
	b.Exec(t, `INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, state, progress, report)
		SELECT 'interval', '', false, 'ins_1', now(), now(), state, '{}', '{}' FROM unnest('{clean,running}'::text[]) state`)
	b.Exec(t, `INSERT INTO rolecall.sweep_seen (sweep_id, resource, id)
		SELECT s.id, kind, s.state || n FROM rolecall.sweeps s, unnest('{membership,user}'::text[]) kind, generate_series(1, 1500) n`)
	forgot, err := b.prune(t.Context(), Retention{Sessions: store.SessionsNamed, Commands: store.KeysCount})
	require.NoError(t, err)
	require.Equal(t, map[Prunable]int{PrunableSessions: 1, PrunableCommands: 1}, forgot)
	require.Equal(t, []string{"sess_young"}, b.ids(t, "SELECT id FROM rolecall.ended_sessions"))
	require.Equal(t, []string{"cmd_23"}, b.ids(t, "SELECT id FROM rolecall.commands"))
	require.Equal(t, 3000, b.Count(t, "SELECT count(*) FROM rolecall.sweep_seen"))
	require.Equal(t, 3000, b.Count(t, "SELECT count(*) FROM rolecall.sweep_seen WHERE id LIKE 'running%'"))
}

// TestPrune_ForgetsOldDeliveries that ended. Those that wait or are set aside stay, and so does the
// newest one of a ledger that is all old.
func TestPrune_ForgetsOldDeliveries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Exec(t, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state)
		SELECT 'msg_' || state || days, 'user.updated', 'user_1', '', 'ins_1', now(), now() - days * interval '1 day', CASE WHEN days < 60 THEN '{}' END, '', state
		FROM unnest('{received,applied,superseded,ignored,quarantined}'::text[]) state, unnest('{30,40,50,70}'::integer[]) days`)
	keep := Retention{Ledger: 45 * 24 * time.Hour, Bodies: 35 * 24 * time.Hour}
	forgot, err := b.prune(t.Context(), keep)
	require.NoError(t, err)
	require.Equal(t, map[Prunable]int{PrunableDeliveries: 6, PrunableBodies: 3, PrunableSweeps: 0}, forgot)
	require.ElementsMatch(t, []string{
		"msg_received30", "msg_received40", "msg_received50", "msg_received70", "msg_quarantined30", "msg_quarantined40", "msg_quarantined50",
		"msg_quarantined70", "msg_applied30", "msg_applied40", "msg_superseded30", "msg_superseded40", "msg_ignored30", "msg_ignored40",
	}, b.ids(t, "SELECT svix_id FROM rolecall.deliveries"))

	b.Exec(t, "UPDATE rolecall.deliveries SET received_at = received_at - interval '100 days'")
	newest := b.ids(t, "SELECT svix_id FROM rolecall.deliveries WHERE state = 'applied' ORDER BY received_at DESC LIMIT 1")
	b.Exec(t, "DELETE FROM rolecall.deliveries WHERE state <> 'applied'")
	_, err = b.prune(t.Context(), keep)
	require.NoError(t, err)
	require.Equal(t, newest, b.ids(t, "SELECT svix_id FROM rolecall.deliveries"), "operators see when the last one came")
}

// TestPrune_KeepsTheSweepsThatCount: the first and the last clean one of everything, the last one
// that a guard stopped, and what runs.
func TestPrune_KeepsTheSweepsThatCount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, sweep := range []string{
		"'org_1', false, 'clean'", "'', true, 'clean'", "'', false, 'aborted'", "'', false, 'clean'", // the first one
		"'', false, 'clean'", "'', false, 'clean'", "'', false, 'abandoned'", "'', false, 'aborted'", "'', false, 'running'", "'org_1', false, 'clean'",
		"'org_2', false, 'clean'",
	} {
		b.Exec(t, `INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, progress, report)
			SELECT 'interval', scope, dry, 'ins_1', now() - interval '2 days', now() - interval '2 days', now() - interval '2 days', state, '{}', '{}'
			FROM (VALUES (`+sweep+`)) AS s (scope, dry, state)`)
	}
	before, err := store.ReadStatus(t.Context(), b.Pool)
	require.NoError(t, err)
	complete, err := store.LogCompleteSince(t.Context(), b.Pool)
	require.NoError(t, err)
	require.NotZero(t, complete)
	_, err = b.prune(t.Context(), Retention{Ledger: 24 * time.Hour})
	require.NoError(t, err)
	require.Equal(t, []string{"4", "6", "8", "9", "11"}, b.ids(t, "SELECT id::text FROM rolecall.sweeps ORDER BY sweeps.id"))
	after, err := store.ReadStatus(t.Context(), b.Pool)
	require.NoError(t, err)
	before.At = after.At
	require.Equal(t, before, after)
	still, err := store.LogCompleteSince(t.Context(), b.Pool)
	require.NoError(t, err)
	require.Equal(t, complete, still)
}

// TestPrune_RepeatOfAForgottenDeliveryChangesNothing, neither in the mirror nor in the audit log,
// in whatever order the repeats come.
func TestPrune_RepeatOfAForgottenDeliveryChangesNothing(t *testing.T) {
	t.Parallel()
	b, history := setup(t), auditedHistory(t)
	in := b.inbox(t)
	ended := mirrortest.Event(t, "msg_15", "session.ended", 12, map[string]any{"id": "sess_1", "user_id": "user_2"})
	history = append(history, ended)
	for _, d := range history {
		require.True(t, accept(t, in, d).Stored)
		_, err := b.apply(t.Context(), d.ID)
		require.NoError(t, err)
	}
	mirror, audit := b.Mirror(t), b.Audit(t)
	b.Exec(t, "UPDATE rolecall.deliveries SET received_at = now() - interval '2 days'")
	accept(t, in, mirrortest.UserNamed(t, "msg_young", "user_9", "Kim", 1))
	forgot, err := b.prune(t.Context(), Retention{Ledger: 24 * time.Hour})
	require.NoError(t, err)
	require.Equal(t, len(history), forgot[PrunableDeliveries])
	for i := range history { // the newest first
		d := history[len(history)-1-i]
		require.True(t, accept(t, in, d).Stored, "the ledger doesn't know it any more")
		_, err := b.apply(t.Context(), d.ID)
		require.NoError(t, err)
	}
	require.Equal(t, mirror, b.Mirror(t))
	require.Equal(t, audit, b.Audit(t))
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.ended_sessions"))
}

// TestPrune_GoesOnAfterItsEnd: a job that is cut off loses nothing, and the next one continues.
func TestPrune_GoesOnAfterItsEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Exec(t, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body_sha256, state)
		SELECT 'msg_' || n, 'user.updated', 'user_1', '', 'ins_1', now(), now() - interval '2 days' + n * interval '1 ms', '', 'applied' FROM generate_series(1, 3500) n`)
	keep := Retention{Ledger: 24 * time.Hour}
	ctx, cut := context.WithCancel(t.Context())
	var forgot int
	w := &pruneWorker{pool: b.Pool, keep: keep, pruned: func(kind Prunable, rows int) {
		if kind == PrunableDeliveries {
			forgot += rows
			cut()
		}
	}}
	require.Error(t, w.Work(ctx, &river.Job[PruneArgs]{JobRow: &rivertype.JobRow{}}))
	require.Equal(t, pruneBatch, forgot)
	require.Equal(t, 2500, b.Count(t, "SELECT count(*) FROM rolecall.deliveries"), "what it had forgotten is committed")

	release := b.Hold(t, "SELECT FROM rolecall.deliveries WHERE svix_id = 'msg_2000' FOR UPDATE")
	rest, err := b.prune(t.Context(), keep)
	require.NoError(t, err)
	require.Equal(t, 2498, rest[PrunableDeliveries], "all but the locked one and the newest one")
	release()
	require.Equal(t, []string{"msg_2000", "msg_3500"}, b.ids(t, "SELECT svix_id FROM rolecall.deliveries ORDER BY 1"))
}

// TestPrune_FindsItsRowsByIndexes, so that a batch costs the same in a ledger of any size.
func TestPrune_FindsItsRowsByIndexes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Exec(t, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state)
		SELECT 'msg_' || n, 'user.updated', 'user_1', '', 'ins_1', now(), now() - n * interval '1 minute', CASE WHEN n < 20000 THEN '{}' END, '', 'applied'
		FROM generate_series(1, 40000) n`)
	b.Exec(t, "ANALYZE rolecall.deliveries")
	read := func(do func(db store.DBTX)) (rows int) {
		require.NoError(t, pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
			do(tx)
			return tx.QueryRow(t.Context(), `SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables
				WHERE schemaname = 'rolecall' AND relname = 'deliveries'`).Scan(&rows)
		}))
		return rows
	}
	var place store.Place
	require.Less(t, read(func(db store.DBTX) {
		n, err := store.PruneDeliveries(t.Context(), db, &place, time.Now().Add(-10*24*time.Hour), 100)
		require.NoError(t, err)
		require.Equal(t, 100, n)
	}), 500)
	place = store.Place{}
	require.Less(t, read(func(db store.DBTX) {
		n, err := store.PruneBodies(t.Context(), db, &place, time.Now().Add(-10*24*time.Hour), 100)
		require.NoError(t, err)
		require.Equal(t, 100, n)
	}), 500)
	require.Less(t, read(func(db store.DBTX) {
		rows, err := store.LedgerRows(t.Context(), db, store.Filter{State: clerksync.StateApplied, Limit: 50})
		require.NoError(t, err)
		require.Len(t, rows, 50)
	}), 1500)
}

// TestRetention_OfJobs is River's; 0 keeps them for ever.
func TestRetention_OfJobs(t *testing.T) {
	t.Parallel()
	cfg := setup(t).workersConfig()
	cfg.Retention = Retention{Jobs: 2 * time.Hour, DoneJobs: time.Minute}
	set := cfg.river()
	require.Equal(t, []time.Duration{2 * time.Hour, 2 * time.Hour, time.Minute},
		[]time.Duration{set.CancelledJobRetentionPeriod, set.DiscardedJobRetentionPeriod, set.CompletedJobRetentionPeriod})
	cfg.Retention = Retention{}
	require.EqualValues(t, -1, cfg.river().CompletedJobRetentionPeriod)
}
