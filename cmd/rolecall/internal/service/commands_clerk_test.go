package service_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
)

// TestCommandsReachClerk: through the whole program, with signed tokens, and the webhooks of what
// the commands changed afterwards. Without a secret key, commands are refused.
func TestCommandsReachClerk(t *testing.T) {
	t.Parallel()
	b := servicetest.Start(t, pgtest.URL(t), nil, config.Parts{Web: true, Workers: true})
	admin, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	status, problem := b.Say(t, b.Token(t, admin.ID), http.MethodPost, "/v1/workspaces", `{"name":"North"}`)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "urn:rolecall:problem:commands-unavailable", problem["type"])

	server := httptest.NewServer(b.Clerk.Handler())
	t.Cleanup(server.Close)
	cfg := b.Config
	cfg.SecretKey, cfg.APIURL, cfg.ClerkRate = b.Clerk.SecretKey(), server.URL+"/v1", 1000
	require.NoError(t, b.Service.Stop(t.Context()))
	b.Config = cfg
	b.Service, err = service.Start(t.Context(), cfg, config.Parts{Web: true, Workers: true}, b.Logger)
	require.NoError(t, err)
	b.DB, err = pgxpool.New(t.Context(), cfg.DatabaseURL)
	require.NoError(t, err)
	t.Cleanup(b.DB.Close)
	endpoint := svixsim.Endpoint{URL: b.Web("/webhooks/clerk"), Secrets: []string{b.Secret}}
	b.Courier, err = svixsim.NewCourier(svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{endpoint}})
	require.NoError(t, err)
	t.Cleanup(b.Courier.Close)

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
	rows, err := b.DB.Query(t.Context(), "SELECT action || ' ' || coalesce(actor, '') FROM rolecall.audit_log WHERE organization_id = $1 ORDER BY id", id)
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
