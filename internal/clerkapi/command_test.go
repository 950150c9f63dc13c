package clerkapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

func member(t *testing.T, raw json.RawMessage) (id, role string) {
	t.Helper()
	var m struct {
		ID   string `json:"id"`
		Role string `json:"role"`
	}
	require.NoError(t, json.Unmarshal(raw, &m))
	return m.ID, m.Role
}

// TestWrite_ChangesClerk: each command against the simulator, over HTTP.
func TestWrite_ChangesClerk(t *testing.T) {
	t.Parallel()
	world := newWorld(t, clerksim.Config{})
	client := serve(t, world.Handler())
	ctx := t.Context()
	admin, err := world.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	guest, err := world.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)

	raw, err := client.CreateOrganization(ctx, "North", admin.ID, "north")
	require.NoError(t, err)
	id, _ := member(t, raw)
	o, ok := world.Organization(id)
	require.True(t, ok)
	type made struct{ name, slug, createdBy string }
	require.Equal(t, made{name: "North", slug: "north", createdBy: admin.ID}, made{name: o.Name, slug: o.Slug, createdBy: o.CreatedBy})

	_, err = client.UpdateOrganization(ctx, id, "South")
	require.NoError(t, err)
	o, _ = world.Organization(id)
	require.Equal(t, made{name: "South", slug: "north", createdBy: admin.ID}, made{name: o.Name, slug: o.Slug, createdBy: o.CreatedBy})

	_, err = world.AddMember(id, guest.ID, clerksim.RoleMember)
	require.NoError(t, err)
	raw, err = client.UpdateMembership(ctx, id, guest.ID, clerksim.RoleAdmin)
	require.NoError(t, err)
	promoted, role := member(t, raw)
	require.Equal(t, clerksim.RoleAdmin, role)
	raw, err = client.DeleteMembership(ctx, id, guest.ID)
	require.NoError(t, err)
	removed, _ := member(t, raw)
	require.Equal(t, promoted, removed, "the membership that ended")
	_, ok = world.Membership(id, guest.ID)
	require.False(t, ok)

	raw, err = client.CreateInvitation(ctx, id, admin.ID, "robin@callmine.test", clerksim.RoleMember)
	require.NoError(t, err)
	invitation, _ := member(t, raw)
	i, _ := world.Invitation(invitation)
	require.Equal(t, admin.ID, i.InviterID)
	pending, err := client.PendingInvitations(ctx, id, "robin@callmine.test")
	require.NoError(t, err)
	require.Len(t, pending, 1)
	_, err = client.RevokeInvitation(ctx, id, invitation, admin.ID)
	require.NoError(t, err)
	i, _ = world.Invitation(invitation)
	require.Equal(t, clerksim.InvitationRevoked, i.Status)
	pending, err = client.PendingInvitations(ctx, id, "robin@callmine.test")
	require.NoError(t, err)
	require.Empty(t, pending)
}

// TestWrite_Refused: each refusal has its error, and none leaves the outcome open.
func TestWrite_Refused(t *testing.T) {
	t.Parallel()
	world := newWorld(t, clerksim.Config{})
	client := serve(t, world.Handler())
	ctx := t.Context()
	admin, err := world.CreateUser(clerksim.NewUser{Emails: []string{"admin@callmine.test"}})
	require.NoError(t, err)
	plain, err := world.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	o, err := world.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID, Slug: "taken", MaxMembers: 3})
	require.NoError(t, err)
	_, err = world.AddMember(o.ID, plain.ID, clerksim.RoleMember)
	require.NoError(t, err)
	invite := func(organization, inviter, email, role string) func() error {
		return func() error {
			_, err := client.CreateInvitation(ctx, organization, inviter, email, role)
			return err
		}
	}
	revoke := func(id string) func() error {
		return func() error { _, err := client.RevokeInvitation(ctx, o.ID, id, admin.ID); return err }
	}
	setRole := func(user, role string) func() error {
		return func() error { _, err := client.UpdateMembership(ctx, o.ID, user, role); return err }
	}
	require.NoError(t, invite(o.ID, admin.ID, "first@callmine.test", clerksim.RoleMember)())
	for _, c := range []struct {
		name  string
		do    func() error
		want  error
		field string
	}{
		{"a member's address", invite(o.ID, admin.ID, "admin@callmine.test", clerksim.RoleMember), clerksync.ErrAlreadyMember, ""},
		{"twice", invite(o.ID, admin.ID, "first@callmine.test", clerksim.RoleMember), clerksync.ErrInvitationNotUnique, ""},
		{"too many", invite(o.ID, admin.ID, "fourth@callmine.test", clerksim.RoleMember), clerksync.ErrQuotaExceeded, ""},
		{"no admin", invite(o.ID, plain.ID, "fourth@callmine.test", clerksim.RoleMember), clerksync.ErrNotAdminAtClerk, ""},
		{"no address", invite(o.ID, admin.ID, "x", clerksim.RoleMember), clerksync.ErrInvalidInput, "email"},
		{"no organization", invite("org_no", admin.ID, "a@callmine.test", clerksim.RoleMember), clerksync.ErrGone, ""},
		{"an odd organization", invite("../x", admin.ID, "a@callmine.test", clerksim.RoleMember), clerksync.ErrGone, ""},
		{"last admin", setRole(admin.ID, clerksim.RoleMember), clerksync.ErrLastAdmin, ""},
		{"no role", setRole(plain.ID, "org:no"), clerksync.ErrInvalidInput, "role"},
		{"no member", setRole("user_no", clerksim.RoleMember), clerksync.ErrGone, ""},
		{"no invitation", revoke("orginv_no"), clerksync.ErrGone, ""},
		{"slug", func() error { _, err := client.CreateOrganization(ctx, "A", admin.ID, "taken"); return err }, clerksync.ErrSlugTaken, "slug"},
		{"name", func() error { _, err := client.UpdateOrganization(ctx, o.ID, ""); return err }, clerksync.ErrInvalidInput, "name"},
	} {
		err := c.do()
		require.ErrorIs(t, err, c.want, c.name)
		require.NotErrorIs(t, err, clerksync.ErrOutcomeUnknown, c.name)
		if errors.Is(err, clerksync.ErrInvalidInput) {
			refusal, ok := errors.AsType[clerksync.Refusal](err)
			require.True(t, ok)
			require.Equal(t, c.field, refusal.Field(), c.name)
		}
	}
	require.NoError(t, world.ManageByDirectory(o.ID, "", true))
	require.ErrorIs(t, setRole(plain.ID, clerksim.RoleAdmin)(), clerksync.ErrManagedByDirectory)
	pending, err := client.PendingInvitations(ctx, o.ID, "first@callmine.test")
	require.NoError(t, err)
	id, _ := member(t, pending[0])
	require.NoError(t, revoke(id)())
	require.ErrorIs(t, revoke(id)(), clerksync.ErrInvitationNotPending)
}

// TestWrite_OutcomeUnknown: the outcome of a failed command is unknown, unless surely nothing has
// changed.
func TestWrite_OutcomeUnknown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer  func(int, *http.Request) (*http.Response, error)
		unknown bool
	}{
		"refused":         {always(422, `{"errors":[{"code":"form_param_value_invalid"}]}`).answer, false},
		"too many":        {always(429, ``, "Retry-After", "7").answer, false},
		"server error":    {always(500, `{"errors":[{"code":"internal_clerk_error"}]}`).answer, true},
		"page of a proxy": {always(404, `<html>`).answer, true},
		"no JSON":         {always(200, `<html>`).answer, true},
		"another object":  {always(200, `{"id":"org_2"}`).answer, true},
		"lost":            {func(int, *http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, true},
		"no connection":   {func(int, *http.Request) (*http.Response, error) { return nil, &net.OpError{Op: "dial", Err: io.EOF} }, false},
		"caller's deadline": {func(_ int, r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				wire := &wire{answer: c.answer}
				client := newClient(t, clerkapi.Config{Transport: wire, CallsPerSecond: unbound})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := client.UpdateOrganization(ctx, "org_1", "North")
				require.Error(t, err)
				require.Equal(t, c.unknown, errors.Is(err, clerksync.ErrOutcomeUnknown), "%v", err)
				require.Len(t, wire.times(), 1, "sent once")
			})
		})
	}
}

// TestWrite_RefusedDoesNotDelaySweeps: Clerk limits writes separately, so such a limit doesn't
// pause a sweep.
func TestWrite_RefusedDoesNotDelaySweeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wire := &wire{answer: func(_ int, req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodGet {
				return reply(http.StatusOK, okInstance), nil
			}
			return reply(http.StatusTooManyRequests, tooMany, "Retry-After", "600"), nil
		}}
		client := newClient(t, clerkapi.Config{Transport: wire, CallsPerSecond: unbound})
		_, err := client.CreateInvitation(t.Context(), "org_1", "user_1", "a@callmine.test", "org:member")
		require.ErrorIs(t, err, clerkapi.ErrRateLimited)
		refusal, ok := errors.AsType[clerksync.Refusal](err)
		require.True(t, ok)
		require.Equal(t, 10*time.Minute, refusal.Wait())
		began := time.Now()
		_, err = client.Instance(t.Context())
		require.NoError(t, err)
		require.Zero(t, time.Since(began))
	})
}

// TestWrite_RequestBodies: method, path and body are Clerk's.
func TestWrite_RequestBodies(t *testing.T) {
	t.Parallel()
	var said []string
	var routes []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		said = append(said, r.Method+" "+r.URL.Path+" "+string(text))
		_, _ = io.WriteString(w, `{"id":"org_1","public_user_data":{"user_id":"user_2"}}`)
	}))
	t.Cleanup(server.Close)
	client := newClient(t, clerkapi.Config{
		URL: server.URL, Transport: &http.Transport{}, CallsPerSecond: unbound, Logger: slog.New(slog.DiscardHandler),
		Observe: func(c clerkapi.Call) { routes = append(routes, c.Route) },
	})
	ctx := t.Context()
	_, err := client.CreateOrganization(ctx, "North", "user_1", "")
	require.NoError(t, err)
	_, err = client.DeleteMembership(ctx, "org_1", "user_2")
	require.NoError(t, err)
	_, err = client.CreateInvitation(ctx, "org_1", "user_1", "a@b.test", "org:member")
	require.NoError(t, err)
	_, err = client.RevokeInvitation(ctx, "org_1", "org_1", "user_1")
	require.NoError(t, err)
	require.Equal(t, []string{
		`POST /organizations {"created_by":"user_1","name":"North"}`,
		`DELETE /organizations/org_1/memberships/user_2 {}`,
		`POST /organizations/org_1/invitations {"email_address":"a@b.test","inviter_user_id":"user_1","role":"org:member"}`,
		`POST /organizations/org_1/invitations/org_1/revoke {"requesting_user_id":"user_1"}`,
	}, said)
	require.Equal(t, "POST /organizations/{organization_id}/invitations/{invitation_id}/revoke", routes[3])
}
