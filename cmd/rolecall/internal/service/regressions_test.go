package service_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// Ways in which a removed user once kept access, found by reviews and attacks.

// TestRegression_OlderMembershipWhoseDeletionNeverCame: a member leaves, rejoins with less, and
// leaves again. The first deletion is lost; the newer membership proves that the older one ended.
func TestRegression_OlderMembershipWhoseDeletionNeverCame(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(-time.Minute)
	b := servicetest.Setup(t, func() time.Time { at = at.Add(time.Second); return at })
	workspace, _, person, messages := servicetest.Team(t, b)
	_, err := b.Clerk.SetRole(workspace, person, clerksim.RoleAdmin)
	require.NoError(t, err)
	b.Send(t, append(messages, b.Clerk.Drain()...)...)
	token := b.Token(t, person)
	require.Equal(t, http.StatusOK, b.May(t, token, workspace, "billing:manage"))

	require.NoError(t, b.Clerk.RemoveMember(workspace, person))
	b.Clerk.Drain() // lost
	_, err = b.Clerk.AddMember(workspace, person, clerksim.RoleMember)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	require.Equal(t, http.StatusForbidden, b.May(t, token, workspace, "billing:manage"))
	require.NoError(t, b.Clerk.RemoveMember(workspace, person))
	b.Send(t, b.Clerk.Drain()...)
	require.Equal(t, http.StatusNotFound, b.May(t, token, workspace, "reports:read"))
	me, body := b.Get(t, b.Web("/v1/me"), token)
	require.Equal(t, http.StatusOK, me)
	require.Empty(t, body["workspaces"])
}

// TestRegression_RoleKeyTakenByAnotherRole: a role's key changes, and another role takes the old
// one. Clerk sends no event about the members, who keep their role.
func TestRegression_RoleKeyTakenByAnotherRole(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(-time.Minute)
	b := servicetest.Setup(t, func() time.Time { at = at.Add(time.Second); return at })
	workspace, _, person, _ := servicetest.Team(t, b)
	for _, permission := range []string{"org:things:read", "org:money:move"} {
		_, err := b.Clerk.CreatePermission(permission, "")
		require.NoError(t, err)
	}
	first, err := b.Clerk.CreateRole(clerksim.NewRole{Key: "org:manager", Permissions: []string{"org:things:read"}})
	require.NoError(t, err)
	_, err = b.Clerk.SetRole(workspace, person, "org:manager")
	require.NoError(t, err)
	renamed := "org:clerk"
	_, err = b.Clerk.UpdateRole(first.ID, clerksim.RoleUpdate{Key: &renamed})
	require.NoError(t, err)
	_, err = b.Clerk.CreateRole(clerksim.NewRole{Key: "org:manager", Permissions: []string{"org:money:move"}})
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	token := b.Token(t, person)
	require.Equal(t, http.StatusOK, b.May(t, token, workspace, "org:things:read"))
	require.Equal(t, http.StatusForbidden, b.May(t, token, workspace, "org:money:move"))
	_, body := b.Get(t, b.Web("/v1/workspaces/"+workspace+"/me"), token)
	require.Equal(t, "org:clerk", body["role"])
}
