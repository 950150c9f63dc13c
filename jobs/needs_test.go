package jobs

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// needsBundle is a mirror with a policy, in which org_1 has an admin and two members.
type needsBundle struct {
	*bundle

	clerk *mirrortest.Directory
}

func setupNeeds(t *testing.T) *needsBundle {
	t.Helper()
	b := &needsBundle{setup(t), mirrortest.Populated(3)}
	b.clerk.Member(0, "org:admin")
	b.clerk.Member(1, "org:admin")
	b.savePolicy(t, clerksync.Grants{"org:admin": {clerksync.MembersManage}, "org:member": {"reports:read"}})
	return b
}

func (b *needsBundle) savePolicy(t *testing.T, g clerksync.Grants) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
		_, err := store.SaveGrants(t.Context(), tx, g, 0)
		return err
	}))
}

// sweep sweeps, and requires a clean end.
func (b *needsBundle) sweep(t *testing.T) {
	t.Helper()
	report, err := b.sweeper(t, b.clerk).Run(t.Context(), sweep.Options{})
	require.NoError(t, err)
	require.False(t, report.Aborted, report.Detail)
}

// judge runs the job, whether a round is due or not.
func (b *needsBundle) judge(t *testing.T) {
	t.Helper()
	b.Exec(t, "UPDATE rolecall.needs_round SET next_at = '-infinity'")
	require.NoError(t, (&judgeWorker{pool: b.Pool}).Work(t.Context(), &river.Job[JudgeArgs]{}))
}

// later makes everything two minutes older: what was found, what has come, and what is running.
func (b *needsBundle) later(t *testing.T) {
	t.Helper()
	b.Exec(t, `UPDATE rolecall.needs SET since = since - interval '2 minutes'`)
	b.Exec(t, `UPDATE rolecall.sweeps SET started_at = started_at - interval '2 minutes'`)
	b.Exec(t, `UPDATE rolecall.deliveries SET received_at = received_at - interval '2 minutes'`)
}

// withoutManager lists the workspaces that are shown to have no manager.
func (b *needsBundle) withoutManager(t *testing.T) []string {
	t.Helper()
	page, _, err := store.WorkspacesNeeding(t.Context(), b.Pool, clerksync.NeedNoManager, store.NeedPosition{}, 100)
	require.NoError(t, err)
	ids := []string{}
	for _, a := range page {
		ids = append(ids, a.OrganizationID)
	}
	return ids
}

// loseAdmins ends the memberships of both admins, as deliveries would.
func (b *needsBundle) loseAdmins(t *testing.T) {
	t.Helper()
	for _, n := range []string{"0", "1"} {
		b.Deliver(t, mirrortest.Event(t, "msg_left"+n, "organizationMembership.deleted", 50, map[string]any{
			"id": "orgmem_0000" + n, "role": "org:admin", "organization": map[string]any{"id": "org_1"},
			"public_user_data": map[string]any{"user_id": "user_0000" + n},
		}))
	}
}

func TestJudge_FindingCountsOnceItHasSettled(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.sweep(t)
	b.judge(t)
	b.loseAdmins(t)
	b.judge(t)
	require.Empty(t, b.withoutManager(t), "found a moment ago")
	b.later(t)
	b.judge(t)
	require.Equal(t, []string{"org_1"}, b.withoutManager(t))
	state, err := store.ReadAttentionState(t.Context(), b.Pool)
	require.NoError(t, err)
	require.Equal(t, map[clerksync.Need]int64{clerksync.NeedNoManager: 1}, state.Counts)

	b.Deliver(t, mirrortest.Event(t, "msg_promoted", "organizationMembership.updated", 99, mirrortest.Membership(2, "org:admin", 99)))
	require.Empty(t, b.withoutManager(t), "what doesn't hold any more is never shown")
	b.judge(t)
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.needs WHERE need = 'no_manager'"))
}

func TestJudge_SaysNothingBeforeTheFirstCleanSweep(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.Deliver(t, mirrortest.Joined(t, "msg_1", "orgmem_9", "org_9", "user_9"))
	for range 2 {
		b.judge(t)
		b.later(t)
	}
	require.Empty(t, b.withoutManager(t))
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.needs"))
	state, err := store.ReadAttentionState(t.Context(), b.Pool)
	require.NoError(t, err)
	require.Equal(t, clerksync.UnjudgedNeverSwept, state.Unjudged)
}

// TestJudge_SaysNothingWithoutAPolicy: no process that answers has ever started, so that every role
// would be unknown.
func TestJudge_SaysNothingWithoutAPolicy(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.Exec(t, "DELETE FROM rolecall.policy_reading")
	b.Exec(t, "DELETE FROM rolecall.grants")
	b.sweep(t)
	b.judge(t)
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.needs"))
}

// TestJudge_SweepUnderWayRaisesNoAlarm: a sweep has found a workspace that no delivery had
// reported, and not yet its members. However long that takes, the workspace isn't listed.
func TestJudge_SweepUnderWayRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.sweep(t)
	b.clerk.Set(clerksync.ResourceOrganization, mirrortest.Organization("org_lost"))
	member := mirrortest.Membership(0, "org:admin", 0)
	member["id"], member["organization"] = "orgmem_lost", map[string]any{"id": "org_lost", "name": "Lost"}
	b.clerk.Set(clerksync.ResourceMembership, member)
	var during []string
	b.clerk.Listing = func(kind clerksync.Resource, _ clerksync.PageRequest) error {
		if kind == clerksync.ResourceUser && during == nil { // organizations are listed, and memberships aren't
			b.judge(t)
			require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.needs WHERE organization_id = 'org_lost'"))
			b.later(t)
			b.judge(t)
			during = b.withoutManager(t)
		}
		return nil
	}
	b.sweep(t)
	require.Equal(t, []string{}, during)
	b.judge(t)
	require.Empty(t, b.withoutManager(t))
}

// TestJudge_StoppedSweepRaisesNoAlarm: as the one above, but the sweep has ended before the members
// were listed.
func TestJudge_StoppedSweepRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.sweep(t)
	b.clerk.Set(clerksync.ResourceOrganization, mirrortest.Organization("org_lost"))
	b.clerk.Refuse(clerksync.ResourceMembership, 0, clerksync.ErrUnauthorized)
	report, err := b.sweeper(t, b.clerk).Run(t.Context(), sweep.Options{})
	require.NoError(t, err)
	require.True(t, report.Aborted)
	b.judge(t)
	b.later(t)
	b.judge(t)
	require.Empty(t, b.withoutManager(t))
	b.clerk.Listing = nil
	b.sweep(t)
	b.judge(t)
	require.Equal(t, []string{"org_lost"}, b.withoutManager(t), "a clean sweep has confirmed it")
}

// TestJudge_YoungWorkspaceRaisesNoAlarm: its creation was delivered, and the membership of its
// creator wasn't. The next sweep tells.
func TestJudge_YoungWorkspaceRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.sweep(t)
	created := time.Now().UnixMilli() - mirrortest.T0
	b.Deliver(t, mirrortest.Event(t, "msg_young", "organization.created", created, map[string]any{
		"id": "org_young", "name": "Young", "created_at": mirrortest.T0 + created, "updated_at": mirrortest.T0 + created,
	}))
	for range 2 {
		b.judge(t)
		b.later(t)
	}
	require.Empty(t, b.withoutManager(t))
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.needs WHERE organization_id = 'org_young'"))
}

// TestJudge_ChangedDatabaseRaisesNoAlarm: changes may be missing, until a sweep has compared
// everything. What was found before may be out of date, too.
func TestJudge_ChangedDatabaseRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.clerk.Remove(clerksync.ResourceMembership, "orgmem_00000", "orgmem_00001")
	b.sweep(t)
	b.judge(t)
	b.later(t)
	b.judge(t)
	require.Equal(t, []string{"org_1"}, b.withoutManager(t))
	require.NoError(t, store.SaveIdentity(t.Context(), b.Pool, store.Identity{System: "other", Timeline: 1, Change: "another cluster"}))
	require.Empty(t, b.withoutManager(t))
	one, err := store.WorkspaceAttention(t.Context(), b.Pool, "org_1")
	require.NoError(t, err)
	require.Empty(t, one.Needs)
	b.sweep(t)
	require.Equal(t, []string{"org_1"}, b.withoutManager(t))
}

// TestJudge_WaitingDeliveryRaisesNoAlarm: of two deliveries of one change, the second one waits.
func TestJudge_WaitingDeliveryRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.sweep(t)
	waiting := mirrortest.Event(t, "msg_waits", "organizationMembership.updated", 99, mirrortest.Membership(2, "org:admin", 99))
	b.Insert(t, waiting)
	b.loseAdmins(t)
	for range 2 {
		b.judge(t)
		b.later(t)
	}
	b.judge(t)
	require.Empty(t, b.withoutManager(t))
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.needs WHERE need = 'no_manager' AND NOT settled"))
}

// TestJudge_PolicyWithoutManagersIsNoAlarm: no role of any workspace may manage members.
func TestJudge_PolicyWithoutManagersIsNoAlarm(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.savePolicy(t, clerksync.Grants{"org:member": {"reports:read"}})
	b.sweep(t)
	b.judge(t)
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.needs"))
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.needs WHERE need = 'unknown_role'"), "admins have nothing")
	state, err := store.ReadAttentionState(t.Context(), b.Pool)
	require.NoError(t, err)
	require.True(t, state.NoneCanManage)
}

// TestJudge_RoundContinues after a process that died, and deletes what it finds no more, deleted
// workspaces included.
func TestJudge_RoundContinues(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.sweep(t)
	b.Exec(t, `INSERT INTO rolecall.organizations (id, name, created_at) SELECT 'org_empty' || n, 'Empty', '2020-01-01' FROM generate_series(1, 2500) n`)
	w := &judgeWorker{pool: b.Pool}
	_, more, err := w.slice(t.Context())
	require.NoError(t, err)
	require.True(t, more)
	require.Positive(t, b.Count(t, "SELECT count(*) FROM rolecall.needs_round WHERE position <> '' AND ended_at IS NULL"))
	require.Equal(t, 999, b.Count(t, "SELECT count(*) FROM rolecall.needs"), "all but org_1 of the first slice")
	b.judge(t)
	require.Equal(t, 2500, b.Count(t, "SELECT count(*) FROM rolecall.needs"))
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.needs_round WHERE position = '' AND began_at IS NULL AND next_at > now() + interval '50 seconds'"))
	b.Exec(t, "UPDATE rolecall.organizations SET deleted_at = now() WHERE id LIKE 'org_empty%' AND id <> 'org_empty7'")
	require.NoError(t, w.Work(t.Context(), &river.Job[JudgeArgs]{}))
	require.Equal(t, 2500, b.Count(t, "SELECT count(*) FROM rolecall.needs"), "the database rests between rounds")
	b.judge(t)
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.needs"))
}

// TestJudge_SlicesAreBoundByMembers: a workspace that is larger than a slice is one by itself.
func TestJudge_SlicesAreBoundByMembers(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.Exec(t, `INSERT INTO rolecall.organizations (id, created_at) SELECT 'org_' || n, '2020-01-01' FROM generate_series(1, 5) n`)
	b.Exec(t, `INSERT INTO rolecall.member_counts VALUES ('org_1', 3), ('org_2', 3), ('org_3', 50), ('org_4', 10), ('org_5', 1)`)
	after, slices := "", [][]string{}
	for last := false; !last; {
		s, err := store.JudgeSlice(t.Context(), b.Pool, after, time.Now(), 3, 10)
		require.NoError(t, err)
		ids := []string{}
		for _, w := range s.Rosters {
			ids = append(ids, w.OrganizationID)
		}
		after, last, slices = s.Until, s.Last, append(slices, ids)
	}
	require.Equal(t, [][]string{{"org_1", "org_2"}, {"org_3"}, {"org_4"}, {"org_5"}}, slices)
}

// TestJudge_OfTwoProcessesOneRecords what both have judged.
func TestJudge_OfTwoProcessesOneRecords(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.sweep(t)
	require.NoError(t, store.BeginNeedsRound(t.Context(), b.Pool))
	judged, err := store.JudgeSlice(t.Context(), b.Pool, "", time.Now(), 10, 10)
	require.NoError(t, err)
	save := func() error {
		return pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
			return store.SaveSlice(t.Context(), tx, judged, time.Now(), time.Second)
		})
	}
	require.NoError(t, save())
	require.ErrorIs(t, save(), store.ErrRaced)
}

// TestJudge_RunsByItself, as a job of the workers.
func TestJudge_RunsByItself(t *testing.T) {
	t.Parallel()
	b := setupNeeds(t)
	b.sweep(t)
	b.work(t)
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, "SELECT count(*) FROM rolecall.needs_round WHERE ended_at IS NOT NULL") == 1
	}, "no round was made")
}
