package service_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestCommands_ReachClerk through the whole program, with signed tokens. Afterwards, the webhooks
// of the commands' changes come. Without a secret key, commands are refused.
func TestCommands_ReachClerk(t *testing.T) {
	t.Parallel()
	b := servicetest.Start(t, pgtest.URL(t), nil, config.Parts{Web: true, Workers: true})
	admin, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	status, problem := b.Say(t, b.Token(t, admin.ID), http.MethodPost, "/v1/workspaces", `{"name":"North"}`)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "urn:rolecall:problem:commands-unavailable", problem["type"])

	cfg := b.Config
	servicetest.AsksClerk(b, &cfg)
	b.Restart(t, cfg, config.Parts{Web: true, Workers: true})
	b.Open(t, cfg.DatabaseURL)

	guest, err := b.Clerk.CreateUser(clerksim.NewUser{Emails: []string{"robin@callmine.test"}})
	require.NoError(t, err)
	adminToken, guestToken := b.Token(t, admin.ID), b.Token(t, guest.ID)
	status, workspace := b.Say(t, adminToken, http.MethodPost, "/v1/workspaces", `{"name":"North"}`)
	require.Equal(t, http.StatusCreated, status, "%v", workspace)
	id, _ := workspace["workspace_id"].(string)
	require.Equal(t, http.StatusOK, b.May(t, adminToken, id, "billing:manage"), "the first admin")

	status, invitation := b.Say(t, adminToken, http.MethodPost, "/v1/workspaces/"+id+"/invitations", `{"email":"robin@callmine.test","role":"member"}`)
	require.Equal(t, http.StatusCreated, status, "%v", invitation)
	invitationID, _ := invitation["id"].(string)
	_, err = b.Clerk.Accept(invitationID, guest.ID)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, b.May(t, guestToken, id, "reports:read"), "in at once")
	require.Equal(t, http.StatusForbidden, b.May(t, guestToken, id, "members:manage"))
	status, _ = b.Say(t, guestToken, http.MethodDelete, "/v1/workspaces/"+id+"/members/"+admin.ID, "")
	require.Equal(t, http.StatusForbidden, status)
	status, _ = b.Say(t, adminToken, http.MethodPatch, "/v1/workspaces/"+id+"/members/"+guest.ID, `{"role":"admin"}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, http.StatusOK, b.May(t, guestToken, id, "members:manage"), "with the old token")
	status, _ = b.Say(t, guestToken, http.MethodDelete, "/v1/workspaces/"+id+"/members/"+guest.ID, "")
	require.Equal(t, http.StatusNoContent, status)
	require.Equal(t, http.StatusNotFound, b.May(t, guestToken, id, "reports:read"))

	b.Send(t, b.Clerk.Drain()...)
	var entries []string
	rows, err := b.DB.Query(t.Context(), `SELECT action || ' ' || coalesce(actor, '') FROM rolecall.audit_log
		WHERE organization_id = $1 AND action NOT LIKE '%.restated' ORDER BY id`, id) // the webhooks came after all was over, and are about the past
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		entries = append(entries, line)
	}
	require.ElementsMatch(t, []string{
		"workspace.created " + admin.ID, "member.joined " + admin.ID, "invitation.sent " + admin.ID, "invitation.accepted " + guest.ID,
		"member.joined ", "member.role_changed " + admin.ID, "member.left " + guest.ID,
	}, entries)
}
