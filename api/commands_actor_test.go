package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestCommands_ClerkConfirmsTheActor: an admin was demoted or removed at Clerk, and the mirror
// doesn't know yet. Clerk is asked before each change. So the admin can't give the lost permission
// to any user, themselves included, nor take it from others.
func TestCommands_ClerkConfirmsTheActor(t *testing.T) {
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
			for _, change := range []struct{ method, path, body string }{
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
				target := path + workspace + strings.NewReplacer("{accomplice}", accomplice, "{admin}", admin, "{other}", other).Replace(change.path)
				requireType(t, b.command(admin, change.method, target, change.body, headerKey, "k"), c.status, c.kind)
				require.Equal(t, before, b.changes(), "%s %s", change.method, target)
				require.Equal(t, clerksim.RoleAdmin, b.clerk.Directory().Role(workspace, other))

				require.NotEqual(t, http.StatusOK, b.get(admin, path+workspace+"/members").status)
				require.Equal(t, http.StatusOK, b.get(other, path+workspace+"/members").status)
			}
		})
	}
}

// TestCommands_NewMemberMayCommandAtOnce: Clerk's reads may not show the membership yet.
func TestCommands_NewMemberMayCommandAtOnce(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, _ := b.team()
	defer b.faults.Omit(nil, b.membershipID(workspace, admin))()
	require.Equal(t, http.StatusOK, b.command(admin, http.MethodPatch, "/v1/workspaces/"+workspace, `{"name":"South"}`).status)
	b.settle()
	requireType(t, b.command(admin, http.MethodPatch, "/v1/workspaces/"+workspace, `{"name":"West"}`), http.StatusNotFound, "not-found")
}

// TestCommands_OneEmptyAnswerEndsNoMembership: one of Clerk's reads doesn't show the actor's
// membership, although nothing has changed.
func TestCommands_OneEmptyAnswerEndsNoMembership(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]clerksim.Match{
		"of the pair":              clerksim.Times(1, clerksim.OnRoute("GET /organizations/{id}/memberships")),
		"of the pair, all day":     clerksim.OnRoute("GET /organizations/{id}/memberships"),
		"of the user's own, later": clerksim.OnRoute("GET /users/{id}/organization_memberships"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupCommands(t)
			workspace, admin, accomplice := b.team()
			b.settle()
			entries := len(b.audit(workspace))
			defer b.faults.Empty(match)()
			path := "/v1/workspaces/" + workspace
			require.Equal(t, http.StatusOK, b.command(admin, http.MethodPatch, path+"/members/"+accomplice, `{"role":"admin"}`).status)
			require.Equal(t, http.StatusOK, b.get(admin, path+"/members").status)
			require.Len(t, b.audit(workspace), entries+1, "the change of the role alone")
		})
	}
}

// TestCommands_AreLimitedPerUser: only the user with too many commands has to wait.
func TestCommands_AreLimitedPerUser(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, member := b.team()
	target := "/v1/workspaces/" + workspace + "/members/" + member
	before, began := b.changes(), time.Now()
	flood := func() exchange { return b.command(member, http.MethodPost, "/v1/workspaces", `{"name":"Flood"}`) }
	x, made := flood(), 0
	for ; x.status == http.StatusCreated; x = flood() {
		made++
	}
	requireType(t, x, http.StatusTooManyRequests, "too-many-changes")
	require.Equal(t, "1", x.header.Get("Retry-After"))
	require.Equal(t, before+made, b.changes())
	require.GreaterOrEqual(t, made, commandsPerUser)
	require.LessOrEqual(t, made, commandsPerUser+1+int(time.Since(began)/time.Second), "one a second more")
	require.Equal(t, http.StatusOK, b.command(admin, http.MethodPatch, target, `{"role":"admin"}`).status)
}

// TestIdempotency_KeysOfUserAndServiceAreDifferent: a user, and a service that acts for that user,
// may use the same key for different requests.
func TestIdempotency_KeysOfUserAndServiceAreDifferent(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	user := b.person()
	create := func(token string, headers ...string) exchange {
		return b.command(token, http.MethodPost, "/v1/workspaces", `{"name":"North"}`, append(headers, headerKey, "k")...)
	}
	for range 2 {
		own, behalf := create(user), create(serviceToken, headerOnBehalfOf, user)
		require.Equal(t, http.StatusCreated, own.status)
		require.Equal(t, http.StatusCreated, behalf.status, "%s", behalf.body)
		require.NotEqual(t, own.header.Get("Location"), behalf.header.Get("Location"))
	}
	require.Equal(t, 2, b.faults.Calls()["POST /organizations"])
}

// TestCommands_RoleChangeDoesNotMakeAMembershipNew: a membership that Clerk doesn't show counts
// only while it is new. An admin can't make theirs new by changing their own role.
func TestCommands_RoleChangeDoesNotMakeAMembershipNew(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	b.behind.Store(int64(time.Hour))
	workspace, admin, accomplice := b.team()
	b.join(workspace, b.person("other@callmine.test"), clerksim.RoleAdmin)
	b.behind.Store(0)
	path := "/v1/workspaces/" + workspace + "/members/"
	require.Equal(t, http.StatusOK, b.command(admin, http.MethodPatch, path+admin, `{"role":"admin"}`).status)
	require.NoError(t, b.clerk.RemoveMember(workspace, admin))
	requireType(t, b.command(admin, http.MethodPatch, path+accomplice, `{"role":"admin"}`), http.StatusNotFound, "not-found")
	require.Equal(t, clerksim.RoleMember, b.clerk.Directory().Role(workspace, accomplice))
}

// TestCommands_MembershipFromTheFutureIsNotNewForEver: a wrong clock has dated the membership to
// tomorrow.
func TestCommands_MembershipFromTheFutureIsNotNewForEver(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, accomplice := b.team()
	b.join(workspace, b.person("other@callmine.test"), clerksim.RoleAdmin)
	_, err := b.pool.Exec(t.Context(), "UPDATE rolecall.memberships SET created_at = created_at + interval '1 day'")
	require.NoError(t, err)
	require.NoError(t, b.clerk.RemoveMember(workspace, admin))
	path := "/v1/workspaces/" + workspace + "/members/" + accomplice
	requireType(t, b.command(admin, http.MethodPatch, path, `{"role":"admin"}`), http.StatusNotFound, "not-found")
}

// TestCommands_BannedAdminIsRefused: the webhook of the ban hasn't arrived yet.
func TestCommands_BannedAdminIsRefused(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, accomplice := b.team()
	_, err := b.clerk.BanUser(admin)
	require.NoError(t, err)
	x := b.command(admin, http.MethodPatch, "/v1/workspaces/"+workspace+"/members/"+accomplice, `{"role":"admin"}`)
	requireProblem(t, x, http.StatusForbidden, clerksync.ReasonUserBanned)
	require.Equal(t, clerksim.RoleMember, b.clerk.Directory().Role(workspace, accomplice))
}

// TestCommands_DemotionByAnotherIsNotAttributed: another admin has demoted the caller at Clerk. The
// caller's command for the same change brings it into the mirror, but doesn't count as its cause.
func TestCommands_DemotionByAnotherIsNotAttributed(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, _ := b.team()
	b.join(workspace, b.person("other@callmine.test"), clerksim.RoleAdmin)
	_, err := b.clerk.SetRole(workspace, admin, clerksim.RoleMember)
	require.NoError(t, err)
	x := b.command(admin, http.MethodPatch, "/v1/workspaces/"+workspace+"/members/"+admin, `{"role":"member"}`)
	requireProblem(t, x, http.StatusForbidden, clerksync.ReasonPermissionMissing)
	entries := b.audit(workspace)
	require.Equal(t, auditLine{"member.role_changed", "", admin}, entries[len(entries)-1])
}

// TestIdempotency_UnrecordedStepDownIsAnsweredAgain: after stepping down the caller lacks the
// permission for the request, but a repeat still gets its answer.
func TestIdempotency_UnrecordedStepDownIsAnsweredAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, body string
		status       int
		observed     bool // a webhook or a sweep has shown the change
	}{
		"role":             {http.MethodPatch, `{"role":"member"}`, http.StatusOK, true},
		"leave":            {http.MethodDelete, "", http.StatusNoContent, true},
		"role unobserved":  {http.MethodPatch, `{"role":"member"}`, http.StatusOK, false},
		"leave unobserved": {http.MethodDelete, "", http.StatusNoContent, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupCommands(t)
			workspace, admin, _ := b.team()
			b.join(workspace, b.person("other@callmine.test"), clerksim.RoleAdmin)
			own := "/v1/workspaces/" + workspace + "/members/" + admin
			lift := b.faults.AfterAnswer(func(clerksim.Call) {
				if _, err := b.pool.Exec(context.Background(), "ALTER TABLE rolecall.audit_log RENAME TO audit_log_away"); err != nil {
					t.Error(err)
				}
			}, func(c clerksim.Call) bool { return c.Request.Method != http.MethodGet })
			requireType(t, b.command(admin, c.method, own, c.body, headerKey, "k"), http.StatusBadGateway, "accepted-not-recorded")
			lift()
			b.logs.take()
			_, err := b.pool.Exec(t.Context(), "ALTER TABLE rolecall.audit_log_away RENAME TO audit_log")
			require.NoError(t, err)
			if c.observed {
				b.observeMembership(workspace, admin)
				require.NotEqual(t, c.status, b.command(admin, c.method, own, c.body).status, "without the key")
				require.NotEqual(t, c.status, b.command(admin, c.method, own, c.body, headerKey, "another").status)
			}
			for range 2 {
				x := b.command(admin, c.method, own, c.body, headerKey, "k")
				require.Equal(t, c.status, x.status, "%s", x.body)
			}
			entries := b.audit(workspace)
			require.Equal(t, admin, entries[len(entries)-1].Actor)
		})
	}
}
