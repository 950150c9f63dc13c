package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// smallWorld is a random mirror of at most two organizations and three users.
type smallWorld struct {
	organizations, users, memberships []map[string]any
}

func smallOrganizations() []string { return []string{"org_0", "org_1"} }
func smallUsers() []string         { return []string{"user_0", "user_1", "user_2"} }

func drawSmallWorld(t *rapid.T) smallWorld {
	var w smallWorld
	instant := func(label string) any { // the epoch if unknown, or one of two instants, so that ties are common
		return rapid.SampledFrom([]any{time.UnixMilli(0), worldBegan(), worldBegan().Add(time.Millisecond)}).Draw(t, label)
	}
	rarely := func(label string) bool { return rapid.IntRange(0, 3).Draw(t, label) == 3 }
	for _, id := range smallOrganizations() {
		if !rarely("unknown " + id) {
			w.organizations = append(w.organizations, map[string]any{"id": id, "deleted_at": dead(rarely("dead " + id))})
		}
	}
	for _, id := range smallUsers() {
		if !rarely("unknown " + id) {
			w.users = append(w.users, map[string]any{
				"id": id, "deleted_at": dead(rarely("dead " + id)), "banned": rarely("banned " + id), "deprovisioned": rarely("off " + id),
			})
		}
	}
	for i := range rapid.IntRange(0, 10).Draw(t, "memberships") {
		w.memberships = append(w.memberships, map[string]any{
			"id": fmt.Sprintf("orgmem_%d", i), "role": fmt.Sprintf("org:role%d", i), // shows which membership of a pair counts
			"organization_id": rapid.SampledFrom(smallOrganizations()).Draw(t, "organization"),
			"user_id":         rapid.SampledFrom(smallUsers()).Draw(t, "user"),
			"deleted_at":      dead(rarely("membership dead")), "created_at": instant("created"), "permissions": []string{},
			"alive_at": rapid.SampledFrom([]any{nil, worldBegan().Add(100 * time.Millisecond), worldBegan().Add(time.Second)}).Draw(t, "shown alive"),
		})
	}
	return w
}

func dead(yes bool) any {
	if yes {
		return worldBegan()
	}
	return nil
}

// save writes the world as it is. Worlds that no events can lead to must be judged alike, too.
func (w smallWorld) save(ctx context.Context, tx pgx.Tx) error {
	return saveRows(ctx, tx, map[string][]map[string]any{"organizations": w.organizations, "users": w.users, "memberships": w.memberships})
}

// saveRows writes rows of the mirror by their tables. Missing columns get neutral values.
func saveRows(ctx context.Context, tx pgx.Tx, tables map[string][]map[string]any) error {
	var errs []error
	for table, rows := range tables {
		for _, row := range rows {
			_, err := tx.Exec(ctx, fmt.Sprintf(
				`INSERT INTO rolecall.%[1]s SELECT (jsonb_populate_record(NULL::rolecall.%[1]s, '{"name":"","public_metadata":{},"version":{},"deleted_cause":"","changed_at":"epoch","followed":false,"erased":false}' || $1::jsonb)).*`, table), row)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// TestMemberLists_AgreeWithDecisions: the view behind all lists holds exactly the pairs, roles and
// memberships that Grants.Decide admits. The rule is written twice, in SQL and in Go.
func TestMemberLists_AgreeWithDecisions(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	ctx := t.Context()
	var inside, outside int
	rapid.Check(t, func(t *rapid.T) {
		world := drawSmallWorld(t)
		tx, err := pool.Begin(ctx)
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(ctx)) }()
		require.NoError(t, world.save(ctx, tx))

		decided := decidedMembers(ctx, t, tx)
		require.Equal(t, decided, membersByUser(ctx, t, tx))
		require.Equal(t, decided, membersByOrganization(ctx, t, tx))
		inside += len(decided)
		outside += len(smallOrganizations())*len(smallUsers()) - len(decided)
	})
	require.Positive(t, inside, "no world had a member")
	require.Positive(t, outside, "every world was full")
}

// roleOf is one member in one organization.
type roleOf struct{ organization, user, role string }

func sortedRoles(roles []roleOf) []roleOf {
	slices.SortFunc(roles, func(a, b roleOf) int {
		return cmp.Or(cmp.Compare(a.organization, b.organization), cmp.Compare(a.user, b.user))
	})
	return roles
}

func decidedMembers(ctx context.Context, t *rapid.T, db store.DBTX) (roles []roleOf) {
	var pairs []store.Pair
	for _, organization := range smallOrganizations() {
		for _, user := range smallUsers() {
			pairs = append(pairs, store.Pair{UserID: user, OrganizationID: organization})
		}
	}
	standings, err := store.Standings(ctx, db, pairs...)
	require.NoError(t, err)
	require.Len(t, standings, len(pairs))
	for i, standing := range standings {
		if d := (clerksync.Grants{}).Decide(standing, policy.None); d.Allowed {
			roles = append(roles, roleOf{pairs[i].OrganizationID, pairs[i].UserID, d.Role})
		}
	}
	return sortedRoles(roles)
}

func membersByUser(ctx context.Context, t *rapid.T, db store.DBTX) (roles []roleOf) {
	for _, user := range smallUsers() {
		memberships, err := store.MembershipsOfUser(ctx, db, user, store.Position{}, 100)
		require.NoError(t, err)
		for _, m := range memberships {
			roles = append(roles, roleOf{m.OrganizationID, user, m.Role})
		}
	}
	return sortedRoles(roles)
}

func membersByOrganization(ctx context.Context, t *rapid.T, db store.DBTX) (roles []roleOf) {
	for _, organization := range smallOrganizations() {
		members, err := store.Members(ctx, db, organization, store.Position{}, 100)
		require.NoError(t, err)
		for _, m := range members {
			roles = append(roles, roleOf{organization, m.UserID, m.Role})
		}
	}
	return sortedRoles(roles)
}
