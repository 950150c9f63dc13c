package jobs

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestApply_RemovalWaitsForNoOrganizationRow: the nested copy of the organization changes nothing,
// so a lock on its row delays no removal.
func TestApply_RemovalWaitsForNoOrganizationRow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Insert(t, mirrortest.Event(t, "msg_0", "organization.created", 1, map[string]any{"id": "org_1", "name": "North", "updated_at": mirrortest.T0}),
		mirrortest.Event(t, "msg_1", "user.created", 1, map[string]any{"id": "user_1", "first_name": "Kim", "updated_at": mirrortest.T0}),
		mirrortest.Joined(t, "msg_2", "orgmem_1", "org_1", "user_1"))
	_, err := b.apply(t.Context(), "msg_0", "msg_1", "msg_2")
	require.NoError(t, err)
	b.Hold(t, "SELECT FROM rolecall.organizations FOR UPDATE")
	b.Insert(t, mirrortest.Event(t, "msg_3", "organizationMembership.deleted", 9, map[string]any{
		"id": "orgmem_1", "role": "org:member", "organization": map[string]any{"id": "org_1", "name": "North"},
		"public_user_data": map[string]any{"user_id": "user_1", "first_name": "Kim"},
	}))
	ctx, cancel := context.WithTimeout(t.Context(), mirrortest.Patience)
	defer cancel()
	finished, err := b.apply(ctx, "msg_3")
	require.NoError(t, err)
	require.Equal(t, map[string]clerksync.State{"msg_3": clerksync.StateApplied}, mirrortest.States(finished))
}

// TestInbox_ManyQuarantinedCopiesAreReplacedAtOnce, as after "replay failed" in Clerk's dashboard.
// No copy may be lost, and commits that replace the same copies must not deadlock.
func TestInbox_ManyQuarantinedCopiesAreReplacedAtOnce(t *testing.T) {
	t.Parallel()
	const n = 150
	b := setup(t)
	for i := range n {
		bad := mirrortest.UserNamed(t, fmt.Sprintf("msg_%03d", i), "user_1", "Kim", int64(i))
		bad.Quarantine("an older version did not know better")
		b.Insert(t, bad)
	}
	in := b.inbox(t)
	var callers errgroup.Group
	callers.SetLimit(64)
	for range 4 {
		for i := range n {
			callers.Go(func() error {
				_, err := in.Accept(t.Context(), mirrortest.UserNamed(t, fmt.Sprintf("msg_%03d", (i*37)%n), "user_1", "Kim", int64(i)))
				return err
			})
		}
	}
	require.NoError(t, callers.Wait())
	require.Equal(t, n, b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE state = 'received'"))
}
