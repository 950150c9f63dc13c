package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// explain asks POST /v1/explain a question whose further members, such as `"min_revision":1`, may
// be given.
func (b *serverBundle) explain(user, workspace, permission string, more ...string) Reasoning {
	b.tb.Helper()
	return answerOf[Reasoning](b.tb, b.explainAs(serviceToken, user, workspace, permission, more...))
}

func (b *serverBundle) explainAs(token, user, workspace, permission string, more ...string) exchange {
	b.tb.Helper()
	text, err := json.Marshal(checkBody{UserID: user, WorkspaceID: workspace, Permission: permission})
	require.NoError(b.tb, err)
	body := string(text[:len(text)-1])
	for _, member := range more {
		body += "," + member
	}
	return b.send(token, http.MethodPost, "/v1/explain", body+"}", "Content-Type", "application/json")
}

// fact returns the fact with a name.
func (r Reasoning) fact(tb testing.TB, name clerksync.FactName) factBody {
	tb.Helper()
	for _, f := range r.Facts {
		if f.Fact == name {
			return f
		}
	}
	require.Fail(tb, "no such fact", name)
	return factBody{}
}

// event returns the cause and the instant of the world's n-th event.
func event(n int) (cause string, at time.Time) {
	return "msg_" + []string{"000001", "000002", "000003", "000004", "000005", "000006"}[n-1], worldBegan().Add(time.Duration(n) * time.Second)
}

func requireFact(tb testing.TB, f factBody, holds bool, detail, cause string, since time.Time) {
	tb.Helper()
	require.NotNil(tb, f.Holds, f.Fact)
	require.Equal(tb, holds, *f.Holds, f.Fact)
	require.Equal(tb, detail, f.Detail)
	require.NotNil(tb, f.Cause, f.Fact)
	require.Equal(tb, cause, *f.Cause, f.Fact)
	require.WithinDuration(tb, since, *f.Since, 0, f.Fact)
}

// TestExplain_SaysSinceWhenAndByWhichDelivery: of a member who was demoted. Later events that
// change nothing of a fact don't move it.
func TestExplain_SaysSinceWhenAndByWhichDelivery(t *testing.T) {
	t.Parallel()
	b := setupServer(t, func(c *Config) { c.Now = func() time.Time { return worldBegan().Add(time.Hour) } })
	b.world.account("user_1", nil)                                                                         // 1
	b.world.organization("org_1", "North", nil)                                                            // 2
	b.world.member("org_1", "user_1", "org:admin", map[string]any{"created_at": worldBegan().UnixMilli()}) // 3
	b.world.apply(b.world.membership(clerksync.MembershipUpdated, "org_1", "user_1", "org:member",         // 4
		map[string]any{"created_at": worldBegan().UnixMilli()}))
	b.world.apply(b.world.membership(clerksync.MembershipUpdated, "org_1", "user_1", "org:member", // 5: nothing new
		map[string]any{"created_at": worldBegan().UnixMilli(), "public_metadata": map[string]any{"a": 1}}))
	b.world.swept()
	r := b.explain("user_1", "org_1", "billing:manage")
	require.Equal(t, clerksync.ReasonPermissionMissing, r.Decision.Reason)
	require.Equal(t, "org:member", *r.Decision.Role)

	cause, created := event(1)
	requireFact(t, r.fact(t, clerksync.FactAccount), true, "active, not banned", cause, created.Add(-time.Second))
	cause, at := event(2)
	requireFact(t, r.fact(t, clerksync.FactWorkspace), true, "org_1 exists", cause, at.Add(-time.Second))
	cause, _ = event(3)
	requireFact(t, r.fact(t, clerksync.FactMembership), true, membershipID("org_1", "user_1"), cause, worldBegan())
	cause, at = event(4)
	requireFact(t, r.fact(t, clerksync.FactRole), true, "org:member", cause, at)
	_, swept := event(5)
	require.Equal(t, "agreed with Clerk 59 minutes ago, revision 4", r.fact(t, clerksync.FactFreshness).Detail)
	require.WithinDuration(t, swept, *r.fact(t, clerksync.FactFreshness).Since, 0)
	grant := r.fact(t, clerksync.FactGrant)
	require.False(t, *grant.Holds)
	require.Equal(t, clerksync.CausePolicy, *grant.Cause)
	require.Equal(t, &changeBody{Kind: clerksync.ChangeGiveRole, Subject: "user_1", Role: new("org:admin"), Words: "give user_1 the role org:admin"}, r.Change)
}

func TestExplain_NamesTheEndOfAnything(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.account("user_1", nil)                            // 1
	b.world.organization("org_1", "North", nil)               // 2
	b.world.member("org_1", "user_1", "org:admin", nil)       // 3
	b.world.account("user_1", map[string]any{"banned": true}) // 4
	r := b.explain("user_1", "org_1", "billing:manage")
	require.Equal(t, clerksync.ReasonUserBanned, r.Decision.Reason)
	cause, at := event(4)
	requireFact(t, r.fact(t, clerksync.FactAccount), false, "banned", cause, at)
	require.True(t, *r.fact(t, clerksync.FactGrant).Holds, "facts after the failing one are told, too")
	require.Equal(t, &changeBody{Kind: clerksync.ChangeUnbanUser, Subject: "user_1", Words: "unban user_1"}, r.Change)

	b.world.account("user_1", nil)                                                                      // 5
	b.world.apply(b.world.membership(clerksync.MembershipDeleted, "org_1", "user_1", "org:admin", nil)) // 6
	r = b.explain("user_1", "org_1", "billing:manage")
	require.Equal(t, clerksync.ReasonNotAMember, r.Decision.Reason)
	cause, at = event(5)
	requireFact(t, r.fact(t, clerksync.FactAccount), true, "active, not banned", cause, at)
	cause, at = event(6)
	requireFact(t, r.fact(t, clerksync.FactMembership), false, membershipID("org_1", "user_1")+" has ended", cause, at)
	require.Nil(t, r.fact(t, clerksync.FactRole).Holds)
	require.Equal(t, "was org:admin", r.fact(t, clerksync.FactRole).Detail)
	require.Equal(t, "org:admin was theirs, and is granted billing:manage (policy)", r.fact(t, clerksync.FactGrant).Detail)
	require.Equal(t, clerksync.ChangeAddMember, r.Change.Kind)
	require.Equal(t, "make user_1 a member of org_1 with the role org:admin", r.Change.Words)

	b.world.deleteOrganization("org_1")
	r = b.explain("user_1", "org_1", "billing:manage")
	require.Equal(t, clerksync.ReasonWorkspaceDeleted, r.Decision.Reason)
	require.False(t, *r.fact(t, clerksync.FactWorkspace).Holds)
	require.Nil(t, r.Change, "nothing brings it back")
}

func TestExplain_NamesWhoInvited(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.invitation("orginv_1", "org_1", map[string]any{"inviter_id": "user_admin", "created_at": b.world.now().UnixMilli()})
	b.world.member("org_1", "user_1", "org:member", nil)
	b.world.apply(b.world.delivery(clerksync.InvitationAccepted, map[string]any{
		"object": "organization_invitation", "id": "orginv_1", "organization_id": "org_1", "email_address": "guest@callmine.test",
		"role": "org:member", "status": "accepted", "user_id": "user_1", "updated_at": b.world.now().UnixMilli(),
	}))
	require.Equal(t, membershipID("org_1", "user_1")+", invited by user_admin",
		b.explain("user_1", "org_1", "reports:read").fact(t, clerksync.FactMembership).Detail)
}

// TestExplain_AnOldInvitationDidntInvite: the member had accepted one, left, and was added again
// much later without one.
func TestExplain_AnOldInvitationDidntInvite(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	accept := func(id string) {
		b.world.apply(b.world.delivery(clerksync.InvitationAccepted, map[string]any{
			"object": "organization_invitation", "id": id, "organization_id": "org_1", "email_address": "guest@callmine.test",
			"role": "org:member", "status": "accepted", "user_id": "user_1", "updated_at": b.world.now().UnixMilli(),
		}))
	}
	detail := func() string {
		return b.explain("user_1", "org_1", "reports:read").fact(t, clerksync.FactMembership).Detail
	}
	join := func(id string) {
		b.world.member("org_1", "user_1", "org:member", map[string]any{"id": id})
	}
	b.world.invitation("orginv_1", "org_1", map[string]any{"inviter_id": "user_admin", "created_at": b.world.now().UnixMilli()})
	join("orgmem_1")
	accept("orginv_1")
	require.Equal(t, "orgmem_1, invited by user_admin", detail())
	b.world.apply(b.world.membership(clerksync.MembershipDeleted, "org_1", "user_1", "org:member", map[string]any{"id": "orgmem_1"}))
	require.Equal(t, "orgmem_1 has ended, invited by user_admin", detail())
	b.world.events += 3600
	join("orgmem_2")
	require.Equal(t, "orgmem_2", detail())
}

// TestExplain_LimitedServicesLearnNothingOfStrangers: to a service of some workspaces, a user who
// never was in one of these looks like one who doesn't exist. So it can't find out who has an
// account, or who is banned.
func TestExplain_LimitedServicesLearnNothingOfStrangers(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.organization("org_1", "North", nil)
	b.world.account("user_known", nil)
	b.world.account("user_banned", map[string]any{"banned": true})
	b.world.member("org_1", "user_left", "org:member", nil)
	b.world.remove("org_1", "user_left")
	b.world.account("user_left", map[string]any{"banned": true})
	limited := serviceToken + "/scopes=authorize/workspaces=org_1"
	ask := func(user string) string {
		x := b.explainAs(limited, user, "org_1", "reports:read")
		require.Equal(t, http.StatusOK, x.status)
		return strings.ReplaceAll(string(x.body), user, "user_x")
	}
	unknown := ask("user_unknown")
	require.Equal(t, unknown, ask("user_known"))
	require.Equal(t, unknown, ask("user_banned"))
	require.Contains(t, ask("user_left"), `"banned"`, "of former members, the token's workspace has a right to know")
	require.Contains(t, string(b.explainAs(serviceToken, "user_banned", "org_1", "reports:read").body), `"banned"`)
}

// TestExplain_FollowsARenamedRole: the membership names the former key, and the role's own event
// moved it.
func TestExplain_FollowsARenamedRole(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	role := func(event clerksync.EventType, key string, permissions ...map[string]any) {
		b.world.apply(b.world.delivery(event, map[string]any{
			"object": "role", "id": "role_1", "key": key, "name": "Finance", "permissions": permissions,
			"created_at": worldBegan().UnixMilli(), "updated_at": b.world.now().UnixMilli(),
		}))
	}
	role(clerksync.RoleCreated, "org:finance")                                                                                                        // 1
	b.world.member("org_1", "user_1", "org:finance", nil)                                                                                             // 2
	role(clerksync.RoleUpdated, "org:accounting", map[string]any{"object": "permission", "id": "perm_1", "key": "org:invoices:read", "name": "Read"}) // 3
	r := b.explain("user_1", "org_1", "org:invoices:read")
	require.True(t, r.Decision.Allowed)
	cause, at := event(3)
	requireFact(t, r.fact(t, clerksync.FactRole), true, "org:accounting, which was org:finance when it was given", cause, at)
	requireFact(t, r.fact(t, clerksync.FactGrant), true, "org:accounting is granted org:invoices:read (a permission of the role at Clerk)", cause, at)
}

func TestExplain_OfStrangers(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.organization("org_1", "North", nil)
	b.world.account("user_1", nil)
	r := b.explain("user_unknown", "org_unknown", "reports:read")
	require.Equal(t, clerksync.ReasonNotAMember, r.Decision.Reason)
	require.Nil(t, r.fact(t, clerksync.FactAccount).Holds)
	require.Equal(t, "user_unknown isn't known here", r.fact(t, clerksync.FactAccount).Detail)
	require.Nil(t, r.fact(t, clerksync.FactWorkspace).Holds)
	require.False(t, *r.fact(t, clerksync.FactMembership).Holds)
	require.Nil(t, r.Change)
	r = b.explain("user_1", "org_1", "reports:read")
	require.Equal(t, "never a member here", r.fact(t, clerksync.FactMembership).Detail)
	require.Equal(t, "make user_1 a member of org_1 with the role org:member", r.Change.Words, "the role with the fewest permissions")
}

func TestExplain_JudgesFreshness(t *testing.T) {
	t.Parallel()
	b := setupServer(t, func(c *Config) {
		c.RevisionWait = time.Millisecond
		c.Now = func() time.Time { return worldBegan().Add(time.Hour) }
	})
	b.world.organization("org_1", "North", nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.swept()
	require.True(t, b.explain("user_1", "org_1", "reports:read", `"min_revision":2`, `"max_staleness":3600`).Decision.Allowed)
	r := b.explain("user_1", "org_1", "reports:read", `"max_staleness":60`)
	require.Equal(t, clerksync.ReasonStale, r.Decision.Reason)
	require.Equal(t, "agreed with Clerk 59 minutes ago, revision 2; asked for: at most 60 seconds ago", r.fact(t, clerksync.FactFreshness).Detail)
	require.Equal(t, clerksync.ChangeWaitForSweep, r.Change.Kind)
	r = b.explain("user_1", "org_1", "reports:read", `"min_revision":3`)
	require.Equal(t, clerksync.ReasonStale, r.Decision.Reason)
	require.Equal(t, &changeBody{Kind: clerksync.ChangeWaitForRevision, Subject: "org_1", Words: "wait until org_1 reaches revision 3"}, r.Change)
	requireProblem(t, b.explainAs(serviceToken, "user_1", "org_1", "reports:read", `"max_staleness":0`), http.StatusBadRequest, "")
	requireProblem(t, b.explainAs(serviceToken, "user_1", "org_1", "reports:read", `"more":0`), http.StatusBadRequest, "")
	requireProblem(t, b.explainAs(serviceToken, "user_1", "org_1", "\x00"), http.StatusBadRequest, "")
}

// TestExplain_BeyondTheListReadsNothing: neither the answer nor its time tells of the workspace.
func TestExplain_BeyondTheListReadsNothing(t *testing.T) {
	t.Parallel()
	b := setupServer(t, func(c *Config) {
		c.Snapshot = func(context.Context, func(store.DBTX) error) error {
			require.Fail(t, "read")
			return nil
		}
	})
	b.world.member("org_2", "user_1", "org:admin", nil)
	x := b.explainAs(serviceToken+"/scopes=authorize/workspaces=org_1", "user_1", "org_2", "reports:read", `"min_revision":100`)
	require.Equal(t, Reasoning{
		Decision: decisionBody{Reason: clerksync.ReasonWorkspaceNotListed, Permission: "reports:read", WorkspaceID: "org_2", UserID: "user_1"},
		Facts:    []factBody{},
	}, answerOf[Reasoning](t, x))
}

// TestExplain_IsNoQuestion: it admits no request, so it's neither counted nor looked up at Clerk.
// Only services may ask.
func TestExplain_IsNoQuestion(t *testing.T) {
	t.Parallel()
	asked := &askedPairs{}
	b := setupServer(t, func(c *Config) {
		c.Refresher = asked
		c.Decided = func(clerksync.Reason) { require.Fail(t, "counted") }
	})
	b.world.organization("org_1", "North", nil)
	b.explain("user_1", "org_1", "reports:read")
	require.Empty(t, asked.pairs)
	requireProblem(t, b.explainAs("user_1", "user_1", "org_1", "reports:read"), http.StatusForbidden, "")
}
