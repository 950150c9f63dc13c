package simulator_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
)

func populated(t *testing.T, seed uint64) (*clerksim.World, simulator.Cast) {
	t.Helper()
	world, err := clerksim.New(clerksim.Config{Seed: seed})
	require.NoError(t, err)
	cast, err := simulator.Populate(world)
	require.NoError(t, err)
	return world, cast
}

// TestPopulate_MakesWhatItsCastSays, and what every demonstration needs.
func TestPopulate_MakesWhatItsCastSays(t *testing.T) {
	t.Parallel()
	world, cast := populated(t, 1)
	require.Len(t, cast.Workspaces, 3)
	require.Len(t, cast.People, 8)
	directory := world.Directory()
	memberships := 0
	for _, person := range cast.People {
		user, exists := world.User(person.UserID)
		require.True(t, exists, person.Key)
		require.Equal(t, person.Address, user.Emails[0].Value)
		require.Equal(t, person.Name, *user.FirstName+" "+*user.LastName)
		require.Equal(t, person.Banned, user.Banned)
		for organizationID, role := range person.Roles {
			membership, joined := directory.Membership(organizationID, person.UserID)
			require.True(t, joined)
			require.Equal(t, role, membership.Role)
			memberships++
		}
	}
	require.Len(t, directory.Memberships(), memberships)

	admin, _ := cast.Person("admin")
	northwind, _ := cast.Workspace("northwind")
	harbor, _ := cast.Workspace("harbor")
	require.Equal(t, clerksim.RoleAdmin, admin.Roles[northwind.ID])
	require.Equal(t, clerksim.RoleMember, admin.Roles[harbor.ID], "another role in another workspace")
	analyst, _ := cast.Person("analyst")
	require.Equal(t, simulator.RoleAnalyst, analyst.Roles[northwind.ID])
	stranger, _ := cast.Person("stranger")
	require.Empty(t, stranger.Roles)
	banned, _ := cast.Person("banned")
	require.True(t, banned.Banned)
	_, known := cast.Person("nobody")
	require.False(t, known)

	states := []clerksim.InvitationStatus{}
	for _, invitation := range world.Invitations() {
		states = append(states, invitation.Status)
	}
	require.Equal(t, []clerksim.InvitationStatus{clerksim.InvitationPending, clerksim.InvitationPending}, states[:2])
}

// TestPopulate_FollowsFromTheSeed, so that a printed id is right at the next start.
func TestPopulate_FollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	first, cast := populated(t, 1)
	second, again := populated(t, 1)
	require.Equal(t, cast, again)
	tickets := func(world *clerksim.World) []string {
		all := []string{}
		for _, invitation := range world.Invitations() {
			all = append(all, invitation.ID+invitation.Ticket)
		}
		return all
	}
	require.Equal(t, tickets(first), tickets(second))
	require.True(t, slices.EqualFunc(first.Drain(), second.Drain(), func(a, b clerksim.Message) bool { return a.ID == b.ID }))
	_, other := populated(t, 2)
	require.NotEqual(t, cast, other)
}
