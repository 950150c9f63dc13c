package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestMembers_PagedInOrderOfJoining, with ties and with a member whose time of joining is unknown.
func TestMembers_PagedInOrderOfJoining(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	m := mirrorOf(membership("orgmem_other", "org_2", "user_0", 0))
	for n, after := range []int64{5, 3, 3, 3, 9, 1, 5} {
		s := membership(fmt.Sprintf("orgmem_%d", n), "org_1", fmt.Sprintf("user_%d", n), after)
		m.Memberships[s.ID] = s
	}
	unknown := membership("orgmem_unknown", "org_1", "user_unknown", 1)
	unknown.CreatedAt = clerksync.Field[int64]{}
	gone := membership("orgmem_gone", "org_1", "user_gone", 1)
	gone.Tombstone = clerksync.Tombstone{OccurredAt: t0, DeliveryID: "msg_2"}
	m.Memberships[unknown.ID], m.Memberships[gone.ID] = unknown, gone
	save(t, pool, m)

	want := []string{"orgmem_unknown", "orgmem_5", "orgmem_1", "orgmem_2", "orgmem_3", "orgmem_0", "orgmem_6", "orgmem_4"}
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []string
		var after store.Position
		for {
			page, err := store.Members(t.Context(), pool, "org_1", after, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), limit)
			require.LessOrEqual(t, len(got), len(want), "a member came twice")
			for _, member := range page {
				got = append(got, member.MembershipID)
				after = store.Position{At: member.JoinedAt, ID: member.MembershipID}
			}
			if len(page) < limit {
				break
			}
		}
		require.Equal(t, want, got, "pages of %d", limit)
	}
}

func TestFindWorkspace(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	banned := user("user_2", 1)
	banned.Banned = clerksync.Field[bool]{Value: true, Version: at(1)}
	gone := organization("org_gone", 1)
	gone.Tombstone = clerksync.Tombstone{OccurredAt: t0, DeliveryID: "msg_2"}
	save(t, pool, mirrorOf(organization("org_1", 1), gone, banned, membership("orgmem_1", "org_1", "user_1", 1),
		membership("orgmem_2", "org_1", "user_2", 1), membership("orgmem_3", "org_gone", "user_1", 2)))
	w, err := store.FindWorkspace(t.Context(), pool, "org_1")
	require.NoError(t, err)
	require.Equal(t, store.Workspace{ID: "org_1", Name: "North", MemberCount: 1}, w, "a banned member doesn't count")
	for _, id := range []string{"org_gone", "org_unknown"} {
		_, err = store.FindWorkspace(t.Context(), pool, id)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	memberships, err := store.MembershipsOfUser(t.Context(), pool, "user_1", store.Position{}, 2)
	require.NoError(t, err)
	require.Equal(t, []store.UserMembership{{
		OrganizationID: "org_1", Name: "North", Role: "org:member", Permissions: []string{}, JoinedAt: time.UnixMilli(t0 + 1),
	}}, memberships)
	memberships, err = store.MembershipsOfUser(t.Context(), pool, "user_2", store.Position{}, 2)
	require.NoError(t, err)
	require.Empty(t, memberships)
}

// TestFindWorkspace_KnownByAMemberOnly finds it, without a name.
func TestFindWorkspace_KnownByAMemberOnly(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	save(t, pool, mirrorOf(membership("orgmem_1", "org_1", "user_1", 1)))
	found, err := store.FindWorkspace(t.Context(), pool, "org_1")
	require.NoError(t, err)
	require.Equal(t, store.Workspace{ID: "org_1", MemberCount: 1}, found)
	_, err = store.FindWorkspace(t.Context(), pool, "org_2")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestStandings_NewestOfTwoLiveMembershipsCounts, if the deletion of the older one never arrived.
func TestStandings_NewestOfTwoLiveMembershipsCounts(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	old, young := membership("orgmem_9", "org_1", "user_1", 1), membership("orgmem_1", "org_1", "user_1", 2)
	young.Role.Value = "org:admin"
	save(t, pool, mirrorOf(old, young))
	standings, err := store.Standings(t.Context(), pool, store.Pair{UserID: "user_1", OrganizationID: "org_1"})
	require.NoError(t, err)
	require.Equal(t, "org:admin", standings[0].Role)
	members, err := store.Members(t.Context(), pool, "org_1", store.Position{}, 10)
	require.NoError(t, err)
	require.Len(t, members, 1)
	require.Equal(t, "orgmem_1", members[0].MembershipID)
	require.Equal(t, t0+2, members[0].JoinedAt.UnixMilli())
}

func TestUserStatus(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	dead := user("user_dead", 1)
	dead.Tombstone = clerksync.Tombstone{OccurredAt: time.Now().UnixMilli(), DeliveryID: "msg_2"}
	banned := user("user_banned", 1)
	banned.Banned = clerksync.Field[bool]{Value: true, Version: at(1)}
	left := user("user_left", 1)
	left.Deprovisioned = clerksync.Field[bool]{Value: true, Version: at(1)}
	save(t, pool, mirrorOf(dead, banned, left, user("user_fine", 1)))
	for id, want := range map[string]clerksync.UserStatus{
		"user_dead": {Dead: true}, "user_banned": {Banned: true}, "user_left": {Deprovisioned: true}, "user_fine": {}, "user_unknown": {},
	} {
		got, err := store.UserStatus(t.Context(), pool, id, store.Sessions{})
		require.NoError(t, err)
		require.Equal(t, want, got, id)
	}
}

func TestWorkspaceBySlug(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	slugged := func(id, slug string) clerksync.Organization {
		o := organization(id, 1)
		o.Slug = clerksync.Field[*string]{Value: &slug, Version: at(1)}
		return o
	}
	gone := slugged("org_gone", "gone")
	gone.Tombstone = clerksync.Tombstone{OccurredAt: t0, DeliveryID: "msg_2"}
	predecessor := slugged("org_before", "north")
	predecessor.Tombstone = gone.Tombstone
	long := strings.Repeat("x", 5000)
	save(t, pool, mirrorOf(slugged("org_1", "north"), predecessor, slugged("org_2", "twin"), slugged("org_3", "twin"), gone,
		organization("org_none", 1), slugged("org_long", long)))
	for slug, want := range map[string]string{"north": "org_1", "North": "", "twin": "", "gone": "", "": "", "nort": "", long: ""} {
		id, err := store.WorkspaceBySlug(t.Context(), pool, slug)
		require.NoError(t, err)
		require.Equal(t, want, id, "%.20s", slug)
	}
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO rolecall.organizations (id, name, slug, version)
			SELECT 'org_many' || n, 'Many', 'many-' || n, '{"r":2,"u":1,"k":1,"o":1,"d":"msg_1"}' FROM generate_series(1, 2000) n`)
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "ANALYZE rolecall.organizations")
		require.NoError(t, err)
		plan := listed(t, tx, "EXPLAIN SELECT o.id FROM rolecall.organizations o WHERE o.slug = 'north' AND o.deleted_at IS NULL AND octet_length(o.slug) < 64 LIMIT 2")
		require.Contains(t, strings.Join(plan, "\n"), "organizations_slug")
		return nil
	}))
}
