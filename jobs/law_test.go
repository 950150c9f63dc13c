package jobs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestLaw_ApplyingInBatchesIsMergingInMemory applies random histories to Postgres in random orders
// and batches, with repeats. The mirror is what package sync makes of them in memory, versions
// included.
func TestLaw_ApplyingInBatchesIsMergingInMemory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rapid.Check(t, func(r *rapid.T) {
		_, err := b.Pool.Exec(t.Context(), `TRUNCATE rolecall.deliveries, rolecall.users, rolecall.organizations,
			rolecall.memberships, rolecall.revisions`)
		require.NoError(r, err)
		history := genHistory(r)
		for _, d := range history {
			insertFor(r, b, d)
		}
		order := rapid.Permutation(mirrortest.IDs(history)).Draw(r, "order")
		ended := map[string]clerksync.State{}
		for len(order) > 0 {
			size := rapid.IntRange(1, len(order)).Draw(r, "batch")
			batch := append(slices.Clone(order[:size]), rapid.SampledFrom(mirrortest.IDs(history)).Draw(r, "again"))
			finished, err := b.apply(t.Context(), batch...)
			require.NoError(r, err)
			for _, d := range finished {
				require.NotContains(r, ended, d.ID, "a delivery ends once")
				ended[d.ID] = d.State
			}
			order = order[size:]
		}
		require.Len(r, ended, len(history))
		require.Equal(r, mirrortest.Play(r, history...), b.Mirror(r))
	})
}

func insertFor(r *rapid.T, b *bundle, d clerksync.Delivery) {
	_, err := b.Pool.Exec(context.Background(), `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id,
			instance_id, occurred_at, received_at, body, body_sha256, state)
		VALUES ($1, $2, '', '', '', to_timestamp($3::bigint / 1000.0), $5, $4, '', 'received')`,
		d.ID, string(d.Type), d.OccurredAt, string(d.Body), d.ReceivedAt)
	require.NoError(r, err)
}

// genPair draws a membership with its pair. A user who rejoins has a new id for the same pair.
func genPair(r *rapid.T) (membership, organization, user string) {
	pairs := map[string][2]string{
		"orgmem_1": {"org_1", "user_1"}, "orgmem_1again": {"org_1", "user_1"}, "orgmem_2": {"org_2", "user_1"},
		"orgmem_3": {"org_2", "user_2"},
	}
	membership = rapid.SampledFrom(slices.Sorted(maps.Keys(pairs))).Draw(r, "membership")
	return membership, pairs[membership][0], pairs[membership][1]
}

// genHistory draws up to ten deliveries about few objects, within few milliseconds, so that every
// tie occurs.
func genHistory(r *rapid.T) []clerksync.Delivery {
	history := make([]clerksync.Delivery, rapid.IntRange(1, 10).Draw(r, "length"))
	for n := range history {
		membership, organization, user := genPair(r)
		what := rapid.SampledFrom([]string{".created", ".updated", ".updated", ".deleted"}).Draw(r, "what")
		data := map[string]any{}
		object := rapid.SampledFrom([]string{"organization", "organizationMembership", "user"}).Draw(r, "object")
		switch {
		case object == "organizationMembership":
			data = genMembership(r)
			data["id"] = membership
			data["organization"], data["public_user_data"] = genOrganization(r), genUser(r)
			data["organization"].(map[string]any)["id"] = organization
			data["public_user_data"].(map[string]any)["user_id"] = user
		case object == "organization" && what != ".deleted":
			data = genOrganization(r)
		case object == "user" && what != ".deleted":
			data = genUser(r)
		}
		switch object {
		case "organization":
			data["id"] = organization
		case "user":
			data["id"] = user
		}
		if what != ".deleted" {
			data["updated_at"] = mirrortest.T0 + rapid.Int64Range(0, 3).Draw(r, "updated")
		}
		history[n] = mirrortest.Event(r, fmt.Sprintf("msg_%02d", n), object+what, rapid.Int64Range(0, 3).Draw(r, "occurred"), data)
	}
	return history
}

// maybe sets a member to one of the values, or leaves it out.
func maybe(r *rapid.T, data map[string]any, name string, values ...any) {
	if i := rapid.IntRange(-1, len(values)-1).Draw(r, name); i >= 0 {
		data[name] = values[i]
	}
}

func genOrganization(r *rapid.T) map[string]any {
	data := map[string]any{}
	maybe(r, data, "name", "North", "South")
	maybe(r, data, "slug", nil, "", "north")
	maybe(r, data, "created_by", "user_1")
	maybe(r, data, "created_at", mirrortest.T0)
	maybe(r, data, "public_metadata", map[string]any{}, map[string]any{"tier": "pro"})
	return data
}

func genUser(r *rapid.T) map[string]any {
	data := map[string]any{}
	maybe(r, data, "first_name", nil, "", "Kim\u0000")
	maybe(r, data, "username", nil, "kim")
	maybe(r, data, "banned", true, false)
	maybe(r, data, "deprovisioned", true, false)
	return data
}

func genMembership(r *rapid.T) map[string]any {
	data := map[string]any{"role": rapid.SampledFrom([]string{"org:admin", "basic_member"}).Draw(r, "role")}
	maybe(r, data, "permissions", []any{}, []any{"org:invoices:read"})
	maybe(r, data, "role_name", nil, "Admin")
	maybe(r, data, "created_at", mirrortest.T0)
	return data
}
