package store_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestLaw_PolicyChange_AgreesWithDecide: roles, accounts, memberships and two policies are random.
// What a change says of members, roles and workspaces is what decisions before and after it say.
func TestLaw_PolicyChange_AgreesWithDecide(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	rapid.Check(t, func(t *rapid.T) {
		for _, table := range []string{"memberships", "roles", "permissions", "users", "organizations", "grants"} {
			exec(t, pool, "DELETE FROM rolecall."+table)
		}
		exec(t, pool, `INSERT INTO rolecall.organizations (id, name, created_at) VALUES ('org_1', 'North', now())`)
		if rapid.Bool().Draw(t, "deleted") {
			exec(t, pool, `INSERT INTO rolecall.organizations (id, name, created_at, deleted_at) VALUES ('org_2', 'South', now(), now())`)
		}
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			changeRoles(t, pool)
			changeAccounts(t, pool)
		}
		// No permission at Clerk has this key.
		exec(t, pool, "UPDATE rolecall.memberships SET permissions = array_remove(permissions, $1)", clerksync.MembersManage)
		exec(t, pool, "DELETE FROM rolecall.permissions WHERE key = $1", clerksync.MembersManage)
		requireChangeAsDecided(t, pool, clerksync.GrantsChange{Before: drawGrants(t, "before"), After: drawGrants(t, "after")})
	})
}

func drawGrants(t *rapid.T, label string) clerksync.Grants {
	g := clerksync.Grants{}
	for _, role := range []string{"org:a", "org:b", "org:c"} {
		g[role] = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{clerksync.MembersManage, "reports:read", "org:own"}), 0, 3, rapid.ID).Draw(t, label+" "+role)
	}
	return g
}

func requireChangeAsDecided(t *rapid.T, db store.DBTX, change clerksync.GrantsChange) {
	ctx := context.Background()
	var members []store.MemberChange
	var left []string
	byRole := map[string]int64{}
	sum := func(role string, gains, loses []string) string {
		return role + " +" + strings.Join(gains, ",") + " -" + strings.Join(loses, ",")
	}
	for _, organization := range []string{"org_1", "org_2"} {
		before, after := 0, 0
		for _, user := range []string{"user_1", "user_2", "user_3"} {
			standings, err := store.Standings(ctx, db, store.Pair{UserID: user, OrganizationID: organization})
			require.NoError(t, err)
			s := standings[0]
			if !change.Before.Decide(s, "").Allowed {
				continue
			}
			if change.Before.Decide(s, clerksync.MembersManage).Allowed {
				before++
			}
			if change.After.Decide(s, clerksync.MembersManage).Allowed {
				after++
			}
			one := store.MemberChange{OrganizationID: organization, UserID: user, Role: s.Role}
			for _, p := range []string{clerksync.MembersManage, "org:own", "reports:read"} {
				switch was, is := change.Before.Decide(s, p).Allowed, change.After.Decide(s, p).Allowed; {
				case is && !was:
					one.Gains = append(one.Gains, p)
				case was && !is:
					one.Loses = append(one.Loses, p)
				}
			}
			if len(one.Gains)+len(one.Loses) > 0 {
				members = append(members, one)
				byRole[sum(one.Role, one.Gains, one.Loses)]++
			}
		}
		if before > 0 && after == 0 {
			left = append(left, organization)
		}
	}

	c, err := store.ReadPolicyChange(ctx, db, change)
	require.NoError(t, err)
	found, err := c.LeftWithoutManager(ctx, db, "", 10)
	require.NoError(t, err)
	var ids []string
	for _, w := range found {
		ids = append(ids, w.ID)
	}
	require.Equal(t, left, ids)
	roles, err := c.ByRole(ctx, db)
	require.NoError(t, err)
	counted := map[string]int64{}
	for _, r := range roles {
		if r.Members > 0 {
			counted[sum(r.Role, r.Gains, r.Loses)] += r.Members
		}
	}
	require.Equal(t, byRole, counted)

	var listed []store.MemberChange
	for after := (store.Pair{}); ; {
		page, err := c.Members(ctx, db, after, 1)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		after = store.Pair{OrganizationID: page[0].OrganizationID, UserID: page[0].UserID}
		listed = append(listed, page...)
	}
	require.Len(t, listed, len(members))
	for i, m := range members {
		got := listed[i]
		require.Equal(t, []string{m.OrganizationID, m.UserID, m.Role}, []string{got.OrganizationID, got.UserID, got.Role})
		require.True(t, slices.Equal(m.Gains, got.Gains) && slices.Equal(m.Loses, got.Loses), "%+v, %+v", m, got)
	}
}
