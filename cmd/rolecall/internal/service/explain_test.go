package service_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/jobs/sweep"
)

// explained is an answer of POST /v1/explain.
type explained struct {
	Decision struct {
		Allowed bool   `json:"allowed"`
		Reason  string `json:"reason"`
	} `json:"decision"`
	Facts []struct {
		Fact   string  `json:"fact"`
		Holds  *bool   `json:"holds"`
		Detail string  `json:"detail"`
		Cause  *string `json:"cause"`
	} `json:"facts"`
	Change *struct {
		Kind    string  `json:"kind"`
		Subject string  `json:"subject"`
		Role    *string `json:"role"`
		Words   string  `json:"words"`
	} `json:"change"`
}

// explain asks as a service; more are further members of the body.
func (h *house) explain(user, workspace, permission, more string) (e explained) {
	h.t.Helper()
	a := h.must(http.StatusOK, h.ServiceToken, http.MethodPost, "/v1/explain",
		`{"user_id":"`+user+`","workspace_id":"`+workspace+`","permission":"`+permission+`"`+more+`}`)
	require.NoError(h.t, json.Unmarshal([]byte(a.text), &e))
	return e
}

// sweep compares the mirror with the simulated Clerk.
func (h *house) sweep() {
	h.t.Helper()
	sweeper, err := h.Service.Sweeper()
	require.NoError(h.t, err)
	report, err := sweeper.Run(h.t.Context(), sweep.Options{Trigger: sweep.TriggerCommand, Confirm: true})
	require.NoError(h.t, err)
	require.False(h.t, report.Aborted, report.Detail)
}

// explainWorld is a service whose Clerk has roles with permissions of their own, some of which no
// policy knows.
func explainWorld(t *testing.T) *house {
	t.Helper()
	h := openHouse(t, func(c *config.Config) { withRoles(t)(c) })
	for _, key := range []string{"org:invoices:create", "org:invoices:read"} {
		_, err := h.Clerk.CreatePermission(key, "")
		require.NoError(t, err)
	}
	for key, permissions := range map[string][]string{
		"org:auditor": nil, "org:visitor": nil, "org:clerk": {"org:invoices:create"}, "org:bookkeeper": {"org:invoices:create", "org:invoices:read"},
	} {
		_, err := h.Clerk.CreateRole(clerksim.NewRole{Key: key, Permissions: permissions})
		require.NoError(t, err)
	}
	h.deliverWebhooks()
	h.sweep()
	return h
}

// anyone makes a person in a random state towards a workspace, which may be deleted.
func (h *house) anyone(t *rapid.T, workspace string) person {
	robin := h.person("Robin" + rapid.StringMatching(`[A-Z]{12}`).Draw(t, "name"))
	rarely := rapid.Custom(func(t *rapid.T) bool { return rapid.IntRange(0, 4).Draw(t, "of five") == 0 })
	if !rarely.Draw(t, "never a member") {
		role := rapid.SampledFrom([]string{clerksim.RoleMember, clerksim.RoleAdmin, "org:auditor", "org:visitor", "org:clerk"}).Draw(t, "role")
		_, err := h.Clerk.AddMember(workspace, robin.id, role)
		require.NoError(h.t, err)
		if rarely.Draw(t, "left") {
			require.NoError(h.t, h.Clerk.RemoveMember(workspace, robin.id))
		}
	}
	if rarely.Draw(t, "banned") {
		_, err := h.Clerk.BanUser(robin.id)
		require.NoError(h.t, err)
	}
	if rarely.Draw(t, "deprovisioned") {
		_, err := h.Clerk.DeprovisionUser(robin.id)
		require.NoError(h.t, err)
	}
	if rarely.Draw(t, "deleted") && rarely.Draw(t, "really") {
		require.NoError(h.t, h.Clerk.DeleteUser(robin.id))
	}
	if rarely.Draw(t, "workspace deleted") && rarely.Draw(t, "really") {
		require.NoError(h.t, h.Clerk.DeleteOrganization(workspace))
	}
	h.deliverWebhooks()
	return robin
}

// narrow may take the workspace's creator away, or its free seats, and reports whether it did so. A
// workspace that was deleted, or has no other manager, stays as it is.
func (h *house) narrow(t *rapid.T, workspace string, creator person) bool {
	var err error
	switch rapid.SampledFrom([]string{"", "", "other managers", "free seats"}).Draw(t, "without") {
	case "other managers":
		err = h.Clerk.RemoveMember(workspace, creator.id)
	case "free seats":
		_, err = h.Clerk.UpdateOrganization(workspace, clerksim.OrganizationUpdate{MaxMembers: new(1)})
	default:
		return false
	}
	h.deliverWebhooks()
	return err == nil
}

// make makes a suggested change at the simulated Clerk.
func (h *house) make(e explained, workspace string) {
	h.t.Helper()
	var err error
	switch c := e.Change; c.Kind {
	case "give_role":
		_, err = h.Clerk.SetRole(workspace, c.Subject, *c.Role)
	case "add_member":
		_, err = h.Clerk.AddMember(workspace, c.Subject, *c.Role)
	case "unban_user":
		_, err = h.Clerk.UnbanUser(c.Subject)
	case "restore_user":
		_, err = h.Clerk.RestoreUser(c.Subject)
	case "wait_for_sweep":
		h.sweep()
	case "wait_for_revision":
		_, err = h.Clerk.UpdateOrganization(c.Subject, clerksim.OrganizationUpdate{Name: new("Renamed")})
	default:
		require.Fail(h.t, "a change that isn't made at Clerk", c.Kind)
	}
	require.NoError(h.t, err, e.Change.Words)
	h.deliverWebhooks()
}

// TestExplain_TheChangeLetsThePersonIn: over random people and workspaces, made at the simulated
// Clerk. Where no change is suggested, the person is in, or two things are wrong, or something has
// gone for good; or Clerk would refuse it: a member of a full workspace, and another role for the
// last one who manages it.
func TestExplain_TheChangeLetsThePersonIn(t *testing.T) {
	t.Parallel()
	h := explainWorld(t)
	alex := h.person("Alex")
	rapid.Check(t, func(t *rapid.T) {
		organization, err := h.Clerk.CreateOrganization(clerksim.NewOrganization{Name: "North", CreatedBy: alex.id})
		require.NoError(t, err)
		workspace := organization.ID
		robin := h.anyone(t, workspace)
		hard := h.narrow(t, workspace, alex)
		permission := rapid.SampledFrom([]string{"reports:read", "billing:manage", "audit:read", "org:invoices:create", "org:invoices:read"}).Draw(t, "permission")
		e := h.explain(robin.id, workspace, permission, "")
		refusing, gone := 0, false
		for _, f := range e.Facts {
			if f.Holds != nil && !*f.Holds {
				refusing++
				gone = gone || f.Fact == "workspace" || f.Detail == "deleted" || f.Detail == "banned, and deprovisioned by directory sync"
			}
		}
		require.Equal(t, e.Decision.Allowed, refusing == 0)
		if e.Change == nil || !hard {
			require.Equal(t, refusing == 1 && !gone && !hard, e.Change != nil, "%+v", e)
		}
		if e.Change != nil {
			h.letIn(e, robin, workspace, permission)
		}
	})
}

// TestExplain_SuggestsNothingThatClerkRefuses: another role for the last member who manages a
// workspace, and a member of a full one, also where a banned member has the last seat.
func TestExplain_SuggestsNothingThatClerkRefuses(t *testing.T) {
	t.Parallel()
	h := explainWorld(t)
	alex, robin, sam := h.person("Alex"), h.person("Robin"), h.person("Sam")
	north := h.create(alex, "North")
	h.deliverWebhooks()
	require.Nil(t, h.explain(alex.id, north, "org:invoices:create", "").Change, "nobody else manages it")
	_, err := h.Clerk.AddMember(north, robin.id, clerksim.RoleAdmin)
	require.NoError(t, err)
	h.deliverWebhooks()
	e := h.explain(alex.id, north, "org:invoices:create", "")
	require.Contains(t, e.Change.Words, "; they would lose ")
	require.Contains(t, e.Change.Words, "members:manage")
	_, err = h.Clerk.BanUser(robin.id)
	require.NoError(t, err)
	_, err = h.Clerk.UpdateOrganization(north, clerksim.OrganizationUpdate{MaxMembers: new(3)})
	require.NoError(t, err)
	h.deliverWebhooks()
	require.Nil(t, h.explain(alex.id, north, "org:invoices:create", "").Change, "the other one is banned")
	require.Equal(t, "add_member", h.explain(sam.id, north, "reports:read", "").Change.Kind, "one seat is free")
	_, err = h.Clerk.UpdateOrganization(north, clerksim.OrganizationUpdate{MaxMembers: new(2)})
	require.NoError(t, err)
	h.deliverWebhooks()
	e = h.explain(sam.id, north, "reports:read", "")
	require.Nil(t, e.Change)
	require.Equal(t, "never a member here; the workspace is full: 2 of 2 seats are taken", e.Facts[2].Detail)
}

// TestExplain_EachChangeLetsThePersonIn, whatever random people are like.
func TestExplain_EachChangeLetsThePersonIn(t *testing.T) {
	t.Parallel()
	h := explainWorld(t)
	north := h.create(h.person("Alex"), "North")
	for kind, prepare := range map[string]func(user string) error{
		"add_member": func(string) error { return nil },
		"give_role": func(user string) error {
			_, err := h.Clerk.AddMember(north, user, clerksim.RoleMember)
			return err
		},
		"unban_user": func(user string) error {
			_, err := h.Clerk.AddMember(north, user, clerksim.RoleAdmin)
			if err == nil {
				_, err = h.Clerk.BanUser(user)
			}
			return err
		},
	} {
		robin := h.person(kind)
		require.NoError(t, prepare(robin.id))
		h.deliverWebhooks()
		e := h.explain(robin.id, north, "billing:manage", "")
		require.NotNil(t, e.Change, kind)
		require.Equal(t, kind, e.Change.Kind)
		h.letIn(e, robin, north, "billing:manage")
	}
}

// letIn makes the suggested change. It fails unless the person then may do what was refused.
func (h *house) letIn(e explained, who person, workspace, permission string) {
	h.t.Helper()
	h.make(e, workspace)
	after := h.explain(who.id, workspace, permission, "")
	require.True(h.t, after.Decision.Allowed, "%s: %+v", e.Change.Words, after)
	require.Equal(h.t, http.StatusOK, h.May(h.t, who.token, workspace, permission), e.Change.Words)
}

// TestExplain_WaitsThatEnd: the waits that are suggested let the person in, too; and a directory
// that assigns the person again.
func TestExplain_WaitsThatEnd(t *testing.T) {
	t.Parallel()
	h := explainWorld(t)
	alex := h.person("Alex")
	north := h.create(alex, "North")
	h.deliverWebhooks()
	_, err := h.DB.Exec(t.Context(), "UPDATE rolecall.revisions SET verified_at = now() - interval '1 hour' WHERE organization_id = ''")
	require.NoError(t, err)
	e := h.explain(alex.id, north, "billing:manage", `,"max_staleness":60`)
	require.Equal(t, "stale", e.Decision.Reason)
	require.Equal(t, "wait_for_sweep", e.Change.Kind)
	h.make(e, north)
	e = h.explain(alex.id, north, "billing:manage", `,"max_staleness":60`)
	require.True(t, e.Decision.Allowed)
	require.Regexp(t, `^sweep_\d+$`, *e.Facts[5].Cause, "the sweep is named")
	_, err = h.DB.Exec(t.Context(), `WITH slow AS (
			UPDATE rolecall.sweeps SET started_at = started_at - interval '1 hour', finished_at = finished_at + interval '2 minutes'
			WHERE id = (SELECT max(id) FROM rolecall.sweeps) RETURNING started_at
		) UPDATE rolecall.revisions SET verified_at = slow.started_at FROM slow WHERE organization_id = ''`)
	require.NoError(t, err)
	e = h.explain(alex.id, north, "billing:manage", `,"max_staleness":60`)
	require.Equal(t, "stale", e.Decision.Reason)
	require.Nil(t, e.Change, "a sweep takes an hour here")

	var revision int64
	require.NoError(t, h.DB.QueryRow(t.Context(), "SELECT sum(revision) FROM rolecall.revisions WHERE organization_id IN ($1, '')", north).Scan(&revision))
	e = h.explain(alex.id, north, "billing:manage", fmt.Sprintf(`,"min_revision":%d`, revision+1))
	require.Equal(t, "stale", e.Decision.Reason)
	require.Equal(t, "wait_for_revision", e.Change.Kind)
	h.make(e, north)
	require.True(t, h.explain(alex.id, north, "billing:manage", fmt.Sprintf(`,"min_revision":%d`, revision+1)).Decision.Allowed)

	_, err = h.Clerk.DeprovisionUser(alex.id)
	require.NoError(t, err)
	h.deliverWebhooks()
	e = h.explain(alex.id, north, "billing:manage", "")
	require.Equal(t, "restore_user", e.Change.Kind)
	h.make(e, north)
	require.True(t, h.explain(alex.id, north, "billing:manage", "").Decision.Allowed)
}

// TestExplain_NamesTheWriter: a delivery by its svix-id, and a change through Rolecall by its
// command.
func TestExplain_NamesTheWriter(t *testing.T) {
	t.Parallel()
	h := explainWorld(t)
	alex, robin := h.person("Alex"), h.person("Robin")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "member")
	h.must(http.StatusOK, alex.token, http.MethodPatch, at(north, "members/"+robin.id), `{"role":"admin"}`)
	e := h.explain(robin.id, north, "billing:manage", "")
	require.True(t, e.Decision.Allowed)
	require.Contains(t, e.Facts[2].Detail, ", invited by "+alex.id)
	require.Regexp(t, `^msg_`, *e.Facts[2].Cause)
	require.Regexp(t, `^cmd_`, *e.Facts[3].Cause, "the role was given through Rolecall")
	require.Regexp(t, `^org:admin is granted billing:manage \(policy\.yaml, line \d+\)$`, e.Facts[4].Detail)
	h.deliverWebhooks()
	require.Equal(t, e.Facts[3], h.explain(robin.id, north, "billing:manage", "").Facts[3], "the webhook of that change moves nothing")
}
