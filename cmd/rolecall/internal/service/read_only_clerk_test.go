package service_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestReadOnly_ChangesNothingAtClerk: with ROLECALL_CLERK_READ_ONLY, each command is refused, and
// look-ups and sweeps send nothing but GET requests.
func TestReadOnly_ChangesNothingAtClerk(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, servicetest.AsksClerk, func(_ *servicetest.Bundle, cfg *config.Config) {
		cfg.ClerkReadOnly = true
	})
	b.Open(t, url)
	workspace, admin, member, messages := servicetest.Team(t, b)
	invitation, err := b.Clerk.Invite(workspace, admin, "guest@callmine.test", "org:member")
	require.NoError(t, err)
	b.Send(t, append(messages, b.Clerk.Drain()...)...)
	stranger, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	b.Clerk.Drain()
	token, at := b.Token(t, admin), "/v1/workspaces/"+workspace
	require.Equal(t, http.StatusOK, b.May(t, token, workspace, "members:manage"))

	commands := [][3]string{
		{http.MethodPost, "/v1/workspaces", `{"name":"North"}`},
		{http.MethodPatch, at, `{"name":"North"}`},
		{http.MethodPatch, at + "/members/" + member, `{"role":"admin"}`},
		{http.MethodDelete, at + "/members/" + member, ""},
		{http.MethodPost, at + "/invitations", `{"email":"robin@callmine.test","role":"member"}`},
		{http.MethodDelete, at + "/invitations/" + invitation.ID, ""},
	}
	document, err := os.ReadFile(servicetest.InRepository(t, "api/openapi.yaml"))
	require.NoError(t, err)
	require.Equal(t, len(commands), strings.Count(string(document), `$ref: "#/components/responses/CommandUnavailable"`), "the API has other commands by now")
	for _, c := range commands {
		status, problem := b.Say(t, token, c[0], c[1], c[2])
		require.Equal(t, http.StatusServiceUnavailable, status, "%v: %v", c, problem)
		require.Equal(t, "urn:rolecall:problem:commands-unavailable", problem["type"])
	}
	require.Equal(t, http.StatusNotFound, b.May(t, b.Token(t, stranger.ID), workspace, "members:manage"), "who is looked up")
	require.Empty(t, b.Clerk.Drain(), "nothing changed at Clerk")
	calls := b.Faults.Calls()
	require.NotEmpty(t, calls)
	for call := range calls {
		require.True(t, strings.HasPrefix(call, "GET "), call)
	}
}
