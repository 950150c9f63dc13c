package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// TestClerkConfirmsWhoCommands: Clerk has demoted or removed an admin, and the mirror doesn't know yet. It is asked before anything is
// changed, so the admin gives nobody the power that was taken from them, themselves included, and takes it from nobody.
func TestClerkConfirmsWhoCommands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		take   func(b *commandBundle, workspace, admin string) error
		status int
		kind   string
	}{
		"demoted": {func(b *commandBundle, workspace, admin string) error {
			_, err := b.clerk.SetRole(workspace, admin, clerksim.RoleMember)
			return err
		}, http.StatusForbidden, "forbidden"},
		"removed": {func(b *commandBundle, workspace, admin string) error {
			return b.clerk.RemoveMember(workspace, admin)
		}, http.StatusNotFound, "not-found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := "/v1/workspaces/"
			for _, command := range [][3]string{
				{http.MethodPatch, "", `{"name":"Mine"}`},
				{http.MethodPatch, "/members/{accomplice}", `{"role":"admin"}`},
				{http.MethodPatch, "/members/{admin}", `{"role":"admin"}`},
				{http.MethodPatch, "/members/{admin}", `{"role":"member"}`},
				{http.MethodDelete, "/members/{other}", ""},
			} {
				b := setupCommands(t)
				workspace, admin, accomplice := b.team()
				other := b.person("other@callmine.test")
				b.join(workspace, other, clerksim.RoleAdmin)
				b.settle()
				require.NoError(t, c.take(b, workspace, admin))
				before := b.changes()
				target := path + workspace + strings.NewReplacer("{accomplice}", accomplice, "{admin}", admin, "{other}", other).Replace(command[1])
				b.requireType(b.say(admin, command[0], target, command[2], headerKey, "k"), c.status, c.kind)
				require.Equal(t, before, b.changes(), "%s %s", command[0], target)
				require.Equal(t, clerksim.RoleAdmin, b.clerk.Directory().Role(workspace, other))

				require.NotEqual(t, http.StatusOK, b.get(admin, path+workspace+"/members").status)
				require.Equal(t, http.StatusOK, b.get(other, path+workspace+"/members").status)
			}
		})
	}
}

// TestWhoHasJustJoinedMayCommand although Clerk's reads don't show the membership yet.
func TestWhoHasJustJoinedMayCommand(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, _ := b.team()
	defer b.faults.Omit(clerksim.Lookups, b.membershipID(workspace, admin))()
	require.Equal(t, http.StatusOK, b.say(admin, http.MethodPatch, "/v1/workspaces/"+workspace, `{"name":"South"}`).status)
	b.settle()
	b.requireType(b.say(admin, http.MethodPatch, "/v1/workspaces/"+workspace, `{"name":"West"}`), http.StatusNotFound, "not-found")
}

// TestCommandsAreLimitedPerUser: whoever asks for too much waits, and nobody else does.
func TestCommandsAreLimitedPerUser(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, member := b.team()
	target := "/v1/workspaces/" + workspace + "/members/" + member
	before, began := b.changes(), time.Now()
	flood := func() exchange { return b.say(member, http.MethodPost, "/v1/workspaces", `{"name":"Flood"}`) }
	x, made := flood(), 0
	for ; x.status == http.StatusCreated; x = flood() {
		made++
	}
	b.requireType(x, http.StatusTooManyRequests, "too-many-changes")
	require.Equal(t, "1", x.header.Get("Retry-After"))
	require.Equal(t, before+made, b.changes())
	require.GreaterOrEqual(t, made, commandsPerUser)
	require.LessOrEqual(t, made, commandsPerUser+1+int(time.Since(began)/time.Second), "one a second more")
	require.Equal(t, http.StatusOK, b.say(admin, http.MethodPatch, target, `{"role":"admin"}`).status)
}

// TestKeysOfAUserAndOfServicesAreDifferent: a service that acts for a user doesn't get the answer to what the user asked with the
// same key, nor the other way round.
func TestKeysOfAUserAndOfServicesAreDifferent(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	user := b.person()
	create := func(token string, headers ...string) exchange {
		return b.say(token, http.MethodPost, "/v1/workspaces", `{"name":"North"}`, append(headers, headerKey, "k")...)
	}
	for range 2 {
		own, behalf := create(user), create(serviceToken, headerOnBehalfOf, user)
		require.Equal(t, http.StatusCreated, own.status)
		require.Equal(t, http.StatusCreated, behalf.status, "%s", behalf.body)
		require.NotEqual(t, own.header.Get("Location"), behalf.header.Get("Location"))
	}
	require.Equal(t, 2, b.faults.Calls()["POST /organizations"])
}
