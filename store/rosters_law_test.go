package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestLaw_Rosters_AgreeWithDecide: roles, policies, accounts and memberships change at random. A
// roster never counts members in another way than decisions about each of them.
func TestLaw_Rosters_AgreeWithDecide(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	rapid.Check(t, func(t *rapid.T) {
		for _, table := range []string{"memberships", "roles", "permissions", "users", "organizations", "grants"} {
			exec(t, pool, "DELETE FROM rolecall."+table)
		}
		exec(t, pool, `INSERT INTO rolecall.organizations (id, name, created_at) VALUES ('org_1', 'North', now()), ('org_2', 'South', now())`)
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			changeRoles(t, pool)
			changeAccounts(t, pool)
		}
		exec(t, pool, "UPDATE rolecall.organizations SET max_memberships = 1 WHERE id = 'org_1'")
		requireAsDecided(t, pool)
	})
}

// changeAccounts writes an account, a membership in another organization, and the policy.
func changeAccounts(t *rapid.T, pool *pgxpool.Pool) {
	refused := rapid.SampledFrom([]string{"", "", "", "deleted", "banned", "deprovisioned"}).Draw(t, "refused")
	exec(t, pool, `INSERT INTO rolecall.users (id, deleted_at, banned, deprovisioned) VALUES ($1, CASE WHEN $2 = 'deleted' THEN now() END, $2 = 'banned', $2 = 'deprovisioned')
		ON CONFLICT (id) DO UPDATE SET deleted_at = excluded.deleted_at, banned = excluded.banned, deprovisioned = excluded.deprovisioned`,
		rapid.SampledFrom([]string{"user_1", "user_2", "user_3"}).Draw(t, "account"), refused)
	exec(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id, role, permissions, created_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET role = excluded.role`,
		fmt.Sprintf("orgmem_%d", rapid.IntRange(4, 8).Draw(t, "other membership")), rapid.SampledFrom([]string{"org_1", "org_2"}).Draw(t, "organization"),
		rapid.SampledFrom([]string{"user_1", "user_2", "user_3"}).Draw(t, "member"), rapid.SampledFrom([]string{"org:a", "org:b", "org:c"}).Draw(t, "its role"),
		rapid.SampledFrom([][]string{{}, {"org:own"}, {clerksync.MembersManage}}).Draw(t, "its permissions"),
		time.Unix(rapid.Int64Range(0, 9).Draw(t, "joined"), 0))
	exec(t, pool, "DELETE FROM rolecall.grants")
	permission := rapid.SampledFrom([]string{clerksync.MembersManage, "reports:read"})
	for _, role := range []string{"org:a", "org:b"} {
		for _, p := range rapid.SliceOfNDistinct(permission, 0, 2, rapid.ID).Draw(t, role) {
			exec(t, pool, "INSERT INTO rolecall.grants (role, permission) VALUES ($1, $2)", role, p)
		}
	}
}

// requireAsDecided compares each roster with decisions about all users.
func requireAsDecided(t *rapid.T, pool *pgxpool.Pool) {
	organizations := []string{"org_1", "org_2"}
	rosters, err := store.Rosters(context.Background(), pool, organizations)
	require.NoError(t, err)
	require.Len(t, rosters, 2)
	grants, err := store.Grants(context.Background(), pool)
	require.NoError(t, err)
	for i, id := range organizations {
		var want clerksync.Roster
		for _, user := range []string{"user_1", "user_2", "user_3"} {
			standings, err := store.Standings(context.Background(), pool, store.Pair{UserID: user, OrganizationID: id})
			require.NoError(t, err)
			if grants.Decide(standings[0], "").Allowed {
				want.Members++
			}
			if limited := id == "org_1"; limited && standings[0].Member && !standings[0].User.Dead {
				want.Seats.Taken++ // Clerk counts the banned and the deprovisioned
			}
			switch d := grants.Decide(standings[0], clerksync.MembersManage); {
			case d.Allowed:
				want.Managers++
			case d.Reason == clerksync.ReasonUnknownRole:
				want.UnknownRole++
			}
		}
		got := rosters[i]
		require.Equal(t, []any{id, want.Members, want.Managers, want.UnknownRole, want.Seats.Taken},
			[]any{got.OrganizationID, got.Members, got.Managers, got.UnknownRole, got.Seats.Taken})
	}
}
