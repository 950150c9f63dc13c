package service_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
)

// TestHostileCourier lets a random history happen at Clerk. A courier that repeats, reorders and
// delays delivers its events to the whole program. Then the API's answers must match the
// simulator's directory, and so must the members whom a consumer of the change feed knows.
func TestHostileCourier(t *testing.T) {
	t.Parallel()
	b, consumer := startFollowed(t)
	rapid.Check(t, func(rt *rapid.T) {
		consumer.begin(rt)
		h := newHistory(t, rt, b)
		rt.Repeat(h.actions())
		h.deliver(svixsim.Faults{Repeat: 0.2, Delay: 0.2, Replay: 0.2})
		h.compare()
		consumer.compare(h)
	})
}

// history is one world and its people.
type history struct {
	t  *testing.T
	rt *rapid.T
	b  *servicetest.Bundle

	clerk     *clerksim.World
	now       time.Time
	users     []string
	orgs      []string
	roles     []clerksim.Role
	late      []clerksim.Message // that were lost so far
	delivered []clerksim.Message // so far

	readLag time.Duration // that sweeps assume; 0 for the default
}

// newHistory begins a history in an empty database. Its ids are drawn, too: they decide in which
// order sweeps look objects up, so a replayed failure needs the same ones. clocks are the errors of
// the clocks of Clerk's machines.
func newHistory(t *testing.T, rt *rapid.T, b *servicetest.Bundle, clocks ...time.Duration) *history {
	t.Helper()
	h := &history{t: t, rt: rt, b: b, now: time.Now().Add(-time.Hour).Truncate(time.Millisecond)}
	clerk, err := clerksim.New(clerksim.Config{
		Seed: rapid.Uint64().Draw(rt, "seed"), InstanceID: b.Clerk.InstanceID(), Now: func() time.Time { return h.now },
		MembershipEventsOnDelete: rapid.Bool().Draw(rt, "membership events on delete"), Clocks: clocks,
	})
	require.NoError(rt, err)
	h.clerk = clerk
	h.clear()
	for range 3 {
		h.createUser(rt)
	}
	h.createOrganization(rt)
	return h
}

// clear empties the database of the previous history: a sweep would remove that one, and this one
// may have the same ids.
func (h *history) clear() {
	_, err := h.b.DB.Exec(h.t.Context(), `TRUNCATE rolecall.deliveries, rolecall.users, rolecall.organizations, rolecall.memberships, rolecall.member_counts,
		rolecall.invitations, rolecall.domains, rolecall.roles, rolecall.permissions, rolecall.revisions, rolecall.sweeps`)
	require.NoError(h.rt, err)
}

func (h *history) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":                    func(*rapid.T) {},
		"create user":         h.createUser,
		"create organization": h.createOrganization,
		"rename":              h.rename,
		"move a slug":         h.moveSlug,
		"add member": func(t *rapid.T) {
			_, err := h.clerk.AddMember(h.org(t), h.user(t), h.role(t))
			h.allowed(err)
		},
		"set role": func(t *rapid.T) {
			_, err := h.clerk.SetRole(h.org(t), h.user(t), h.role(t))
			h.allowed(err)
		},
		"remove": func(t *rapid.T) { h.allowed(h.clerk.RemoveMember(h.org(t), h.user(t))) },
		"rejoin": h.rejoin,
		"invite": func(t *rapid.T) {
			_, err := h.clerk.Invite(h.org(t), h.user(t), "guest-"+rapid.StringMatching("[a-c]").Draw(t, "address")+"@callmine.test", h.role(t))
			h.allowed(err)
		},
		"accept": func(t *rapid.T) {
			if id := h.invitation(t); id != "" {
				_, err := h.clerk.Accept(id, h.user(t))
				h.allowed(err)
			}
		},
		"revoke": func(t *rapid.T) {
			if id := h.invitation(t); id != "" {
				_, err := h.clerk.Revoke(id)
				h.allowed(err)
			}
		},
		"add a domain": func(t *rapid.T) {
			_, err := h.clerk.AddDomain(h.org(t), rapid.StringMatching("[a-z]{3}").Draw(t, "domain")+".test")
			h.allowed(err)
		},
		"ban":         func(t *rapid.T) { _, err := h.clerk.BanUser(h.user(t)); h.allowed(err) },
		"unban":       func(t *rapid.T) { _, err := h.clerk.UnbanUser(h.user(t)); h.allowed(err) },
		"deprovision": func(t *rapid.T) { _, err := h.clerk.DeprovisionUser(h.user(t)); h.allowed(err) },
		"restore":     func(t *rapid.T) { _, err := h.clerk.RestoreUser(h.user(t)); h.allowed(err) },
		"delete user": func(t *rapid.T) { h.rarely(t, func() error { return h.clerk.DeleteUser(h.user(t)) }) },
		"delete organization": func(t *rapid.T) {
			h.rarely(t, func() error { return h.clerk.DeleteOrganization(h.org(t)) })
		},
		"create role":      h.createRole,
		"edit permissions": h.editPermissions,
		"rename a role's key": func(t *rapid.T) {
			if len(h.roles) > 0 {
				h.tick() // two changes of a key within one millisecond have no known order
				key := h.roleKey(t)
				_, err := h.clerk.UpdateRole(rapid.SampledFrom(h.roles).Draw(t, "role").ID, clerksim.RoleUpdate{Key: &key})
				h.allowed(err)
				h.tick()
			}
		},
		"time passes": func(t *rapid.T) {
			h.now = h.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "ms")) * time.Millisecond)
		},
	}
}

// allowed accepts Clerk's refusals: they are part of a history, and change nothing.
func (h *history) allowed(err error) {
	var refused *clerksim.Error
	if err != nil {
		require.ErrorAs(h.rt, err, &refused)
	}
}

func (h *history) rarely(t *rapid.T, do func() error) {
	if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
		h.allowed(do())
	}
}

func (h *history) user(t *rapid.T) string { return rapid.SampledFrom(h.users).Draw(t, "user") }
func (h *history) org(t *rapid.T) string  { return rapid.SampledFrom(h.orgs).Draw(t, "organization") }

func (h *history) role(t *rapid.T) string {
	keys := []string{clerksim.RoleAdmin, clerksim.RoleMember}
	for _, r := range h.clerk.Directory().Roles {
		keys = append(keys, r.Key)
	}
	slices.Sort(keys)
	return rapid.SampledFrom(keys).Draw(t, "role")
}

// invitation draws one of the world's invitations; "" if there is none.
func (h *history) invitation(t *rapid.T) string {
	ids := slices.Sorted(maps.Keys(h.clerk.Directory().Invitations))
	if len(ids) == 0 {
		return ""
	}
	return rapid.SampledFrom(ids).Draw(t, "invitation")
}

func (h *history) createUser(*rapid.T) {
	user, err := h.clerk.CreateUser(clerksim.NewUser{Directory: len(h.users)%2 == 0})
	require.NoError(h.rt, err)
	h.users = append(h.users, user.ID)
}

func (h *history) createOrganization(t *rapid.T) {
	creator := ""
	if rapid.Bool().Draw(t, "by a user") {
		creator = h.user(t)
	}
	organization, err := h.clerk.CreateOrganization(clerksim.NewOrganization{
		CreatedBy: creator, SlugForm: rapid.SampledFrom([]clerksim.SlugForm{clerksim.SlugAsIs, clerksim.SlugAbsent, clerksim.SlugEmpty}).Draw(t, "slug form"),
	})
	if err != nil {
		h.allowed(err)
		return
	}
	h.orgs = append(h.orgs, organization.ID)
}

func (h *history) rename(t *rapid.T) {
	name := rapid.StringMatching("[A-Z][a-z]{1,8}").Draw(t, "name")
	_, err := h.clerk.UpdateOrganization(h.org(t), clerksim.OrganizationUpdate{Name: &name})
	h.allowed(err)
}

// moveSlug removes a slug from one organization and gives it to another.
func (h *history) moveSlug(t *rapid.T) {
	none, slug := "", rapid.SampledFrom([]string{"north", "south"}).Draw(t, "slug")
	_, err := h.clerk.UpdateOrganization(h.org(t), clerksim.OrganizationUpdate{Slug: &none})
	h.allowed(err)
	_, err = h.clerk.UpdateOrganization(h.org(t), clerksim.OrganizationUpdate{Slug: &slug})
	h.allowed(err)
}

// rejoin removes a member and adds the same person again, with a new membership.
func (h *history) rejoin(t *rapid.T) {
	org, user := h.org(t), h.user(t)
	h.allowed(h.clerk.RemoveMember(org, user))
	_, err := h.clerk.AddMember(org, user, h.role(t))
	h.allowed(err)
}

func (h *history) createRole(t *rapid.T) {
	permission, err := h.clerk.CreatePermission("org:things:"+rapid.StringMatching("[a-z]{5}").Draw(t, "permission"), "")
	if err != nil {
		h.allowed(err)
		return
	}
	h.tick()
	role, err := h.clerk.CreateRole(clerksim.NewRole{
		Key: h.roleKey(t), Permissions: []string{permission.Key},
	})
	h.tick()
	if err != nil {
		h.allowed(err)
		return
	}
	h.roles = append(h.roles, role)
}

// roleKey draws one of a few keys, so that they are reused and swapped.
func (h *history) roleKey(t *rapid.T) string {
	return rapid.SampledFrom([]string{"org:clerk", "org:guest", "org:lead"}).Draw(t, "key")
}

func (h *history) tick() { h.now = h.now.Add(time.Millisecond) }

func (h *history) editPermissions(t *rapid.T) {
	if len(h.roles) == 0 {
		return
	}
	var keys []string
	if rapid.Bool().Draw(t, "keep one") {
		keys = rapid.SampledFrom(h.roles).Draw(t, "of").Permissions
	}
	_, err := h.clerk.SetRolePermissions(rapid.SampledFrom(h.roles).Draw(t, "role").ID, keys...)
	h.allowed(err)
}

// deliver sends all messages, in a random order, with the given faults.
func (h *history) deliver(faults svixsim.Faults) {
	var endpoints []svixsim.Endpoint
	for _, secret := range h.b.Config.SigningSecrets[:rapid.IntRange(1, 2).Draw(h.rt, "endpoints")] { // two while a secret is rotated
		endpoints = append(endpoints, svixsim.Endpoint{URL: h.b.Web("/webhooks/clerk"), Secrets: []string{secret}})
	}
	courier, err := svixsim.NewCourier(svixsim.CourierConfig{
		Endpoints: endpoints, Speed: 1e9,
	})
	require.NoError(h.rt, err)
	defer courier.Close()
	messages := slices.Concat(h.late, h.clerk.Drain())
	h.late = nil
	faults.Seed = rapid.Uint64().Draw(h.rt, "faults")
	faults.Window = rapid.SampledFrom([]int{0, 3, len(messages)}).Draw(h.rt, "window")
	results, err := courier.Deliver(h.t.Context(), messages, faults)
	require.NoError(h.rt, err)
	for i, r := range results {
		if r.Outcome == svixsim.Dropped {
			h.late = append(h.late, messages[i])
		} else {
			h.delivered = append(h.delivered, messages[i])
		}
		require.True(h.rt, r.Outcome == svixsim.Delivered || faults.Drop > 0 && r.Outcome == svixsim.Dropped)
	}
	h.b.Applied(h.t)
}

// compare compares every answer about every pair with the directory.
func (h *history) compare() {
	directory := h.clerk.Directory()
	type check struct {
		UserID      string `json:"user_id"`
		WorkspaceID string `json:"workspace_id"`
		Permission  string `json:"permission"`
	}
	var checks []check
	var want []bool
	for _, org := range h.orgs {
		for _, user := range h.users {
			key := directory.Role(org, user)
			permissions := append(slices.Clone(h.grants()[key]), directory.Roles[key].Permissions...)
			for _, permission := range append([]string{"reports:read", "billing:manage"}, h.allPermissions(directory)...) {
				checks = append(checks, check{user, org, permission})
				want = append(want, key != "" && slices.Contains(permissions, permission))
			}
		}
	}
	at := 0
	for chunk := range slices.Chunk(checks, 100) {
		text, err := json.Marshal(map[string]any{"checks": chunk})
		require.NoError(h.rt, err)
		request, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.b.Web("/v1/authorize"), bytes.NewReader(text))
		require.NoError(h.rt, err)
		_, body := h.b.Do(h.t, request, h.b.ServiceToken)
		for i, d := range body["decisions"].([]any) {
			decision := d.(map[string]any)
			require.Equal(h.rt, want[at+i], decision["allowed"], "%+v: %+v", checks[at+i], decision)
		}
		at += len(chunk)
	}
	for _, org := range h.orgs {
		h.compareWorkspace(directory, org)
	}
	h.compareInvitations(directory)
}

// compareWorkspace compares name, slug and members of a workspace, as one of its admins sees them,
// with the directory.
func (h *history) compareWorkspace(directory clerksim.Directory, org string) {
	var members []string
	admin := ""
	for _, user := range h.users {
		if role := directory.Role(org, user); role != "" {
			members = append(members, user+" "+role)
			if role == clerksim.RoleAdmin {
				admin = user
			}
		}
	}
	if admin == "" {
		return // no user may read it
	}
	get := func(path string) map[string]any {
		request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.b.Web("/v1/workspaces/"+org+path), nil)
		require.NoError(h.rt, err)
		request.Header.Set("Rolecall-On-Behalf-Of", admin)
		status, body := h.b.Do(h.t, request, h.b.ServiceToken)
		require.Equal(h.rt, http.StatusOK, status)
		return body
	}
	var listed []string
	for _, m := range get("/members?limit=200")["data"].([]any) {
		listed = append(listed, m.(map[string]any)["user_id"].(string)+" "+m.(map[string]any)["role"].(string))
	}
	require.ElementsMatch(h.rt, members, listed)
	truth := directory.Organizations[org]
	workspace := get("")
	require.Equal(h.rt, truth.Name, workspace["name"])
	require.InDelta(h.rt, len(members), workspace["member_count"], 0)
	if truth.SlugForm == clerksim.SlugAsIs && truth.Slug != "" {
		require.Equal(h.rt, truth.Slug, workspace["slug"])
	}
}

// compareInvitations compares the mirror's invitations with the directory.
func (h *history) compareInvitations(directory clerksim.Directory) {
	for _, invitation := range directory.Invitations {
		var email, role string
		var accepted *string
		err := h.b.DB.QueryRow(h.t.Context(), `SELECT email, role, user_id FROM rolecall.invitations
			WHERE id = $1 AND CASE WHEN status = 'pending' AND expires_at <= $2 THEN 'expired' ELSE status END = $3`,
			invitation.ID, h.now, string(invitation.Status)).Scan(&email, &role, &accepted)
		require.NoError(h.rt, err, "%s is %s", invitation.ID, invitation.Status)
		require.Equal(h.rt, invitation.Email, email)
		if invitation.UserID != "" && accepted != nil {
			require.Equal(h.rt, invitation.UserID, *accepted)
		}
	}
}

func (h *history) grants() map[string][]string {
	policy, err := h.b.Config.Policy(h.t.Context())
	require.NoError(h.rt, err)
	return policy.Grants
}

func (h *history) allPermissions(directory clerksim.Directory) (keys []string) {
	for _, r := range directory.Roles {
		keys = append(keys, r.Permissions...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
