package clerksim_test

import (
	"net/url"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// walk lists everything under a path, oldest first, in pages of ten.
func walk(t *testing.T, a faultyAPI, path string) []string {
	t.Helper()
	var all []string
	for offset := 0; ; offset += 10 {
		p := a.list(t, path+"?order_by=%2Bcreated_at&limit=10&offset="+strconv.Itoa(offset))
		all = append(all, ids(p.Data)...)
		if len(p.Data) < 10 {
			return all
		}
	}
}

func TestPaging_DeletionShiftsLaterPages(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	before := walk(t, a, "/v1/organization_memberships")
	require.Len(t, before, 25)
	second := a.list(t, "/v1/organization_memberships?order_by=%2Bcreated_at&offset=5&limit=1").Data[0]
	a.faults.AfterAnswer(func(clerksim.Call) {
		require.NoError(t, a.world.RemoveMember(
			second["organization"].(map[string]any)["id"].(string),
			second["public_user_data"].(map[string]any)["user_id"].(string)))
	}, clerksim.Times(1, clerksim.OnPage(membershipRoute, "0")))
	after := walk(t, a, "/v1/organization_memberships")
	require.Equal(t, slices.Delete(slices.Clone(before), 10, 11), after, "the eleventh slipped into the page before")
}

func TestPaging_TiesAreUnstableOnDemand(t *testing.T) {
	t.Parallel()
	for name, unstable := range map[string]bool{"stable": false, "unstable": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newFaultyAPI(t, clerksim.Config{UnstableTies: unstable})
			admin := createUser(t, a.world, clerksim.NewUser{})
			o := createOrganization(t, a.world, admin.ID)
			path := "/v1/organizations/" + o.ID + "/memberships"
			for range 24 { // all within one millisecond
				_, err := a.world.AddMember(o.ID, createUser(t, a.world, clerksim.NewUser{}).ID, "")
				require.NoError(t, err)
			}
			all := ids(a.list(t, path+"?limit=500&order_by=created_at").Data)
			require.Len(t, all, 25)
			seen := walk(t, a, path)
			require.Len(t, seen, 25, "pages are as long as ever")
			distinct := slices.Compact(slices.Sorted(slices.Values(seen)))
			require.Equal(t, unstable, len(distinct) < 25, "some are skipped, and others repeated")
			require.Subset(t, all, distinct)

			last := map[string]bool{}
			for range 20 {
				last[ids(a.list(t, path+"?order_by=created_at&offset=24&limit=1").Data)[0]] = true
			}
			require.Equal(t, unstable, len(last) > 1, "any of them may be the last")

			// Rows that aren't tied keep their places, in either direction.
			whole := walk(t, a, "/v1/organization_memberships")
			p := a.list(t, "/v1/organization_memberships?limit=25&offset=25")
			slices.Reverse(p.Data)
			require.Equal(t, whole[:25], ids(p.Data))

			users := callAPI(t, a.world, "/v1/users", url.Values{"limit": {"500"}})
			again := callAPI(t, a.world, "/v1/users", url.Values{"limit": {"500"}})
			require.Equal(t, string(users), string(again), "a cursor needs one order")
		})
	}
}
