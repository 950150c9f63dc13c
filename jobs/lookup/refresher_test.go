package lookup

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestRefresher_AdmitsNewMember, and lifts no tombstone.
func TestRefresher_AdmitsNewMember(t *testing.T) {
	t.Parallel()
	b, d := mirrortest.New(t), mirrortest.Populated(2)
	var allowed error
	refresher, err := NewRefresher(RefresherConfig{
		Pool: b.Pool, Clerk: d, Allowed: func() error { return allowed },
	})
	require.NoError(t, err)
	require.NoError(t, refresher.Refresh(t.Context(), "user_00000", "org_1"))
	require.NoError(t, refresher.RefreshUser(t.Context(), "user_00001"))
	require.NoError(t, refresher.Refresh(t.Context(), "user_nobody", "org_1"))
	require.Len(t, b.Roles(t), 2)
	require.Len(t, b.Audit(t), 2)
	require.NoError(t, refresher.Refresh(t.Context(), "user_00000", "org_1"))
	require.Len(t, b.Audit(t), 2, "nothing new")

	b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.deleted", 1, mirrortest.Membership(0, "org:member", 0)))
	require.NoError(t, refresher.Refresh(t.Context(), "user_00000", "org_1"))
	require.NotContains(t, b.Roles(t), "orgmem_00000", "an answer right after a removal may predate it")
	d.Member(7, "org:member")
	d.Set(clerksync.ResourceUser, map[string]any{"id": "user_00007", "banned": true, "created_at": mirrortest.T0, "updated_at": mirrortest.T0})
	require.NoError(t, refresher.Refresh(t.Context(), "user_00007", "org_1"))
	require.NotContains(t, b.Roles(t), "orgmem_00007", "only the user itself shows the ban")

	d.Err = clerksync.ErrUnavailable
	require.ErrorIs(t, refresher.Refresh(t.Context(), "user_00000", "org_1"), clerksync.ErrUnavailable)
	d.Finds, allowed = nil, errors.New("a key of another instance")
	require.ErrorIs(t, refresher.Refresh(t.Context(), "user_00000", "org_1"), allowed)
	require.Empty(t, d.Finds)
}
