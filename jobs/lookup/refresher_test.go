package lookup

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestRefresher_AdmitsNewMember: a look-up admits a new member, and lifts no tombstone.
func TestRefresher_AdmitsNewMember(t *testing.T) {
	t.Parallel()
	b, clerk := mirrortest.New(t), mirrortest.NewClerk(t)
	clerk.World.Populate(1, 2)
	admin, member := clerk.Members()[0], clerk.Members()[1]
	var allowed error
	refresher, err := NewRefresher(RefresherConfig{
		Pool: b.Pool, Clerk: clerk.Client, Allowed: func() error { return allowed },
	})
	require.NoError(t, err)
	require.NoError(t, refresher.Refresh(t.Context(), member.UserID, member.OrganizationID))
	require.NoError(t, refresher.RefreshUser(t.Context(), admin.UserID))
	require.NoError(t, refresher.Refresh(t.Context(), "user_unknown", member.OrganizationID))
	require.Equal(t, map[string]string{admin.ID: clerksim.RoleAdmin, member.ID: clerksim.RoleMember}, b.Roles(t))
	require.Len(t, b.Audit(t), 2)
	require.NoError(t, refresher.Refresh(t.Context(), member.UserID, member.OrganizationID))
	require.Len(t, b.Audit(t), 2, "nothing new")

	earlier := clerk.World.Snapshot()
	require.NoError(t, clerk.World.RemoveMember(member.OrganizationID, member.UserID))
	for _, d := range clerk.Deliveries() {
		b.Deliver(t, d)
	}
	catchUp := clerk.Faults.AnswerFrom(earlier, nil)
	require.NoError(t, refresher.Refresh(t.Context(), member.UserID, member.OrganizationID))
	require.NotContains(t, b.Roles(t), member.ID, "an answer right after a removal may predate it")
	catchUp()

	user, err := clerk.World.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	banned, err := clerk.World.AddMember(member.OrganizationID, user.ID, "")
	require.NoError(t, err)
	_, err = clerk.World.BanUser(user.ID)
	require.NoError(t, err)
	require.NoError(t, refresher.Refresh(t.Context(), user.ID, member.OrganizationID))
	require.NotContains(t, b.Roles(t), banned.ID, "its account is banned")

	lift := clerk.Faults.Down()
	require.ErrorIs(t, refresher.Refresh(t.Context(), user.ID, member.OrganizationID), clerksync.ErrUnavailable)
	lift()
	calls := clerk.Faults.Calls()
	allowed = errors.New("a key of another instance")
	require.ErrorIs(t, refresher.Refresh(t.Context(), user.ID, member.OrganizationID), allowed)
	require.Equal(t, calls, clerk.Faults.Calls())
}
