package store_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// newJudged returns a mirror that was swept and has a policy. Changes are to be made by SQL.
func newJudged(t *testing.T) (*pgxpool.Pool, func(sql string, args ...any)) {
	t.Helper()
	pool := pgtest.New(t)
	do := func(sql string, args ...any) {
		_, err := pool.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	do(`INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, state, progress, report)
		VALUES ('interval', '', false, 'ins_1', now(), now(), 'clean', '{}', '{}')`)
	do(`INSERT INTO rolecall.policy_reading (read_at) VALUES (now())`)
	do(`INSERT INTO rolecall.grants VALUES ('org:admin', 'members:manage'), ('org:member', 'reports:read')`)
	return pool, do
}

// workspace makes an organization with members of these roles.
func workspace(do func(string, ...any), id string, roles ...string) {
	do(`INSERT INTO rolecall.organizations (id, name, created_at) VALUES ($1, 'Of ' || $1, '2020-01-01')`, id)
	for i, role := range roles {
		do(`INSERT INTO rolecall.memberships (id, organization_id, user_id, role) VALUES ($1 || '_m' || $2, $1, 'user_' || $2, $3)`, id, strconv.Itoa(i), role)
	}
}

// found records a finding that has settled.
func found(do func(string, ...any), need clerksync.Need, id string, members int) {
	do(`INSERT INTO rolecall.needs (need, organization_id, since, settled, members) VALUES ($1, $2, '2026-01-01', true, $3)`, need, id, members)
}

// TestWorkspacesNeeding_PagesLeaveOutWhatHoldsNoMore: the pages are full all the same, the largest
// workspaces come first, and none comes twice.
func TestWorkspacesNeeding_PagesLeaveOutWhatHoldsNoMore(t *testing.T) {
	t.Parallel()
	pool, do := newJudged(t)
	for _, w := range []struct {
		id      string
		members int
		role    string
	}{
		{"org_a", 5, "org:member"},
		{"org_b", 5, "org:admin"},
		{"org_c", 5, "org:member"},
		{"org_d", 9, "org:admin"},
		{"org_e", 9, "org:member"},
		{"org_f", 1, "org:member"},
		{"org_g", 1, "org:admin"},
	} {
		workspace(do, w.id, w.role)
		found(do, clerksync.NeedNoManager, w.id, w.members)
	}
	found(do, clerksync.NeedNoManager, "org_gone", 7)
	workspace(do, "org_unsettled")
	do(`INSERT INTO rolecall.needs VALUES ('org_unsettled', 'no_manager', now(), false, 0)`)

	var pages [][]string
	for next := new(store.NeedPosition); next != nil; {
		page, following, err := store.WorkspacesNeeding(t.Context(), pool, clerksync.NeedNoManager, *next, 2)
		require.NoError(t, err)
		var ids []string
		for _, a := range page {
			ids = append(ids, a.OrganizationID)
			require.Equal(t, "Of "+a.OrganizationID, a.Name)
			require.Equal(t, int64(1), a.Members)
			require.Equal(t, 2026, a.Since(clerksync.NeedNoManager).Year())
		}
		pages, next = append(pages, ids), following
	}
	require.Equal(t, [][]string{{"org_e", "org_a"}, {"org_c", "org_f"}, nil}, pages)
}

// TestWorkspacesNeeding_ReadsABoundedNumber of findings for a page, however many hold no more.
func TestWorkspacesNeeding_ReadsABoundedNumber(t *testing.T) {
	t.Parallel()
	pool, do := newJudged(t)
	do(`INSERT INTO rolecall.needs SELECT 'org_gone' || n, 'no_manager', '2026-01-01', true, 7 FROM generate_series(1, 15) n`)
	workspace(do, "org_last")
	found(do, clerksync.NeedNoManager, "org_last", 0)
	page, next, err := store.WorkspacesNeeding(t.Context(), pool, clerksync.NeedNoManager, store.NeedPosition{}, 1)
	require.NoError(t, err)
	require.Empty(t, page)
	page, _, err = store.WorkspacesNeeding(t.Context(), pool, clerksync.NeedNoManager, *next, 1)
	require.NoError(t, err)
	require.Len(t, page, 1)
}

// TestRosters_ExpiredInvitations: those of the last thirty days whose address wasn't invited again.
func TestRosters_ExpiredInvitations(t *testing.T) {
	t.Parallel()
	pool, do := newJudged(t)
	for name, c := range map[string]struct {
		invitations string
		want        int64
	}{
		"pending":                             {`('i1', 'kim@a.test', 'pending', now() + interval '1 hour', '2026-01-01', NULL)`, 0},
		"pending, and its time is over":       {`('i1', 'kim@a.test', 'pending', now() - interval '1 hour', '2026-01-01', NULL)`, 1},
		"pending without an end":              {`('i1', 'kim@a.test', 'pending', NULL, '2026-01-01', NULL)`, 0},
		"expired, as Clerk says":              {`('i1', 'kim@a.test', 'expired', now() - interval '1 hour', '2026-01-01', NULL)`, 1},
		"expired long ago":                    {`('i1', 'kim@a.test', 'expired', now() - interval '31 days', '2026-01-01', NULL)`, 0},
		"accepted in time":                    {`('i1', 'kim@a.test', 'accepted', now() - interval '1 hour', '2026-01-01', NULL)`, 0},
		"revoked in time":                     {`('i1', 'kim@a.test', 'revoked', now() - interval '1 hour', '2026-01-01', NULL)`, 0},
		"gone at Clerk":                       {`('i1', 'kim@a.test', 'pending', now() - interval '1 hour', '2026-01-01', now())`, 0},
		"invited again":                       {`('i1', 'kim@a.test', 'expired', now() - interval '1 hour', '2026-01-01', NULL), ('i2', 'KIM@a.test', 'pending', now() + interval '1 hour', '2026-01-02', NULL)`, 0},
		"invited again in vain":               {`('i1', 'kim@a.test', 'expired', now() - interval '2 hours', '2026-01-01', NULL), ('i2', 'kim@a.test', 'pending', now() - interval '1 hour', '2026-01-02', NULL)`, 1},
		"invited again by one that is gone":   {`('i1', 'kim@a.test', 'expired', now() - interval '2 hours', '2026-01-01', NULL), ('i2', 'kim@a.test', 'pending', now() + interval '1 hour', '2026-01-02', now())`, 1},
		"two addresses":                       {`('i1', 'kim@a.test', 'expired', now() - interval '2 hours', '2026-01-01', NULL), ('i2', 'lee@a.test', 'pending', now() - interval '1 hour', '2026-01-02', NULL)`, 2},
		"invited before with a longer period": {`('i1', 'kim@a.test', 'pending', now() + interval '2 hours', '2026-01-01', NULL), ('i2', 'kim@a.test', 'expired', now() - interval '1 hour', '2026-01-02', NULL)`, 1},
	} {
		id := "org_" + strings.ReplaceAll(name, " ", "_")
		workspace(do, id, "org:admin", "org:admin")
		do(`INSERT INTO rolecall.invitations (organization_id, id, email, status, expires_at, created_at, deleted_at)
			SELECT $1::text, $1 || v.id, v.email, v.status, v.expires_at::timestamptz, v.created_at::timestamptz, v.deleted_at::timestamptz
			FROM (VALUES `+c.invitations+`) v (id, email, status, expires_at, created_at, deleted_at)`, id)
		rosters, err := store.Rosters(t.Context(), pool, []string{id})
		require.NoError(t, err)
		require.Equal(t, c.want, rosters[0].ExpiredInvitations, name)
	}
}

// TestRosters_RolesThatSharedAKey: a membership has the role that had the key last when it was
// written.
func TestRosters_RolesThatSharedAKey(t *testing.T) {
	t.Parallel()
	pool, do := newJudged(t)
	do(`INSERT INTO rolecall.roles (id, key, keys) VALUES ('role_1', 'org:guest', '{"org:admin": [1], "org:guest": [4]}'), ('role_2', 'org:admin', '{"org:admin": [5]}')`)
	workspace(do, "org_1", "org:admin", "org:admin", "org:admin")
	do(`UPDATE rolecall.memberships SET version = CASE id WHEN 'org_1_m0' THEN '{"u": 3}' ELSE '{"u": 7}' END::json`)
	rosters, err := store.Rosters(t.Context(), pool, []string{"org_1"})
	require.NoError(t, err)
	require.Equal(t, clerksync.Roster{Members: 3, Managers: 2, UnknownRole: 1}, rosters[0].Roster)
}

// TestWorkspaceAttention_HasAllNeeds that have settled, and the facts behind them.
func TestWorkspaceAttention_HasAllNeeds(t *testing.T) {
	t.Parallel()
	pool, do := newJudged(t)
	workspace(do, "org_1", "org:admin", "org:member", "org:strange", "org:strange")
	do(`UPDATE rolecall.organizations SET max_memberships = 3`)
	for _, need := range clerksync.Needs() {
		found(do, need, "org_1", 4)
	}
	a, err := store.WorkspaceAttention(t.Context(), pool, "org_1")
	require.NoError(t, err)
	require.Equal(t, clerksync.Roster{Members: 4, Managers: 1, UnknownRole: 2, Seats: clerksync.Seats{Taken: 4, Limit: 3}}, a.Roster)
	var needs []clerksync.Need
	for _, n := range a.Needs {
		needs = append(needs, n.Need)
	}
	require.Equal(t, []clerksync.Need{clerksync.NeedSingleManager, clerksync.NeedUnknownRole, clerksync.NeedOverSeatLimit}, needs)
	_, err = store.WorkspaceAttention(t.Context(), pool, "org_unknown")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestAttention_ReadsABoundedNumberOfMembers: of workspaces with more, the last round's findings
// are shown, with its time.
func TestAttention_ReadsABoundedNumberOfMembers(t *testing.T) {
	t.Parallel()
	pool, do := newJudged(t)
	for id, members := range map[string]int{"org_small": 3, "org_half": 30_000, "org_other": 30_000, "org_huge": 500_000} {
		workspace(do, id, "org:admin", "org:admin")
		do(`UPDATE rolecall.member_counts SET members = $2 WHERE organization_id = $1`, id, members)
		found(do, clerksync.NeedSingleManager, id, members)
		found(do, clerksync.NeedExpiredInvitations, id, members)
	}
	do(`UPDATE rolecall.needs_round SET ended_at = '2026-02-01', counts = '{}'`)
	page, _, err := store.WorkspacesNeeding(t.Context(), pool, clerksync.NeedSingleManager, store.NeedPosition{}, 10)
	require.NoError(t, err)
	require.Len(t, page, 2, "two are judged again, and have two managers")
	for i, id := range []string{"org_huge", "org_other"} {
		require.Equal(t, id, page[i].OrganizationID)
		require.Equal(t, "Of "+id, page[i].Name)
		require.Equal(t, "2026-02-01", page[i].Found.UTC().Format(time.DateOnly))
		require.Len(t, page[i].Needs, 2)
	}
	alone, err := store.WorkspaceAttention(t.Context(), pool, "org_other")
	require.NoError(t, err)
	require.Zero(t, alone.Found)
	require.Empty(t, alone.Needs)
	do(`UPDATE rolecall.grants SET permission = 'billing:manage'`)
	huge, err := store.WorkspaceAttention(t.Context(), pool, "org_huge")
	require.NoError(t, err)
	require.Equal(t, int64(500_000), huge.Members)
	require.Len(t, huge.Needs, 1, "no role can manage any more, which is no need of a workspace")
}
