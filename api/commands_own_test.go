package api

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

// ownRepeat is a keyed request of a member about themselves, which was carried out.
type ownRepeat struct {
	*commandBundle

	workspace, admin, user string
	path                   string
	method, body           string
}

const (
	stepDown = `{"role":"member"}`
	ownKey   = "own"
)

// setupOwn makes a team whose member becomes an admin, and then steps down (PATCH) or leaves
// (DELETE).
func setupOwn(t *testing.T, method string) *ownRepeat {
	t.Helper()
	o := &ownRepeat{commandBundle: setupCommands(t), method: method}
	o.workspace, o.admin, o.user = o.team()
	o.path = "/v1/workspaces/" + o.workspace + "/members/" + o.user
	o.give(`{"role":"admin"}`)
	if method == http.MethodPatch {
		o.body = stepDown
	}
	require.Less(t, o.repeat().status, 300)
	return o
}

func (o *ownRepeat) repeat() exchange {
	return o.command(o.user, o.method, o.path, o.body, headerKey, ownKey)
}

// give lets the admin give the user a role.
func (o *ownRepeat) give(body string) {
	o.tb.Helper()
	require.Equal(o.tb, http.StatusOK, o.command(o.admin, http.MethodPatch, o.path, body).status)
}

// remove lets the admin remove the user.
func (o *ownRepeat) remove() {
	o.tb.Helper()
	require.Equal(o.tb, http.StatusNoContent, o.command(o.admin, http.MethodDelete, o.path, "").status)
}

// deleteWorkspace marks the workspace as deleted in the mirror.
func (o *ownRepeat) deleteWorkspace() {
	o.tb.Helper()
	o.observe(clerksync.Gone(clerksync.ResourceOrganization, clerksync.Reference{ID: o.workspace}, time.Now().UnixMilli(), "test"))
}

// TestIdempotency_RepeatOfAStepDown: a repeat is answered as long as the step down is the newest
// change of the membership.
func TestIdempotency_RepeatOfAStepDown(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		then func(*ownRepeat)
		want int
	}{
		"nothing else happened":  {func(*ownRepeat) {}, http.StatusOK},
		"removed by another":     {(*ownRepeat).remove, http.StatusNotFound},
		"removed, and rejoined":  {func(o *ownRepeat) { o.remove(); o.join(o.workspace, o.user, clerksim.RoleMember) }, http.StatusForbidden},
		"demoted by another":     {func(o *ownRepeat) { o.give(`{"role":"admin"}`); o.give(stepDown) }, http.StatusForbidden},
		"promoted by another":    {func(o *ownRepeat) { o.give(`{"role":"admin"}`) }, http.StatusOK},
		"the workspace is gone":  {(*ownRepeat).deleteWorkspace, http.StatusNotFound},
		"left afterwards":        {func(o *ownRepeat) { o.command(o.user, http.MethodDelete, o.path, "") }, http.StatusNotFound},
		"banned":                 {func(o *ownRepeat) { o.ban(o.user) }, http.StatusForbidden},
		"removed, workspace too": {func(o *ownRepeat) { o.remove(); o.deleteWorkspace() }, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := setupOwn(t, http.MethodPatch)
			tc.then(o)
			x := o.repeat()
			require.Equal(t, tc.want, x.status, "%s", x.body)
			if tc.want == http.StatusOK {
				require.Equal(t, "true", x.header.Get(headerReplayed))
				return
			}
			require.NotContains(t, string(x.body), "membership_id")
			require.Empty(t, x.header.Get(headerReplayed))
			if tc.want == http.StatusNotFound {
				require.Empty(t, x.header.Get(headerRevision))
			}
		})
	}
}

// TestIdempotency_RepeatOfLeaving: a repeat is answered until the membership changes again.
func TestIdempotency_RepeatOfLeaving(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		then func(*ownRepeat)
		want int
	}{
		"nothing else happened": {func(*ownRepeat) {}, http.StatusNoContent},
		"rejoined":              {func(o *ownRepeat) { o.join(o.workspace, o.user, clerksim.RoleMember) }, http.StatusNoContent},
		"rejoined, and removed by another": {func(o *ownRepeat) {
			o.join(o.workspace, o.user, clerksim.RoleMember)
			o.remove()
		}, http.StatusNotFound},
		"banned": {func(o *ownRepeat) { o.ban(o.user) }, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := setupOwn(t, http.MethodDelete)
			tc.then(o)
			x := o.repeat()
			require.Equal(t, tc.want, x.status, "%s", x.body)
			require.Equal(t, tc.want == http.StatusNoContent, x.header.Get(headerReplayed) == "true")
		})
	}
}

// TestIdempotency_RepeatThroughAService: a repeat through a service follows the same rules, but the
// user's own token can't repeat it.
func TestIdempotency_RepeatThroughAService(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, user := b.team()
	path := "/v1/workspaces/" + workspace + "/members/" + user
	require.Equal(t, http.StatusOK, b.command(admin, http.MethodPatch, path, `{"role":"admin"}`).status)
	repeat := func() exchange {
		return b.command(serviceToken, http.MethodPatch, path, stepDown, headerKey, ownKey, headerOnBehalfOf, user)
	}
	require.Equal(t, http.StatusOK, repeat().status)
	require.Equal(t, http.StatusOK, repeat().status)
	require.Equal(t, http.StatusForbidden, b.command(user, http.MethodPatch, path, stepDown, headerKey, ownKey).status)
	require.Equal(t, http.StatusNoContent, b.command(admin, http.MethodDelete, path, "").status)
	require.Equal(t, http.StatusNotFound, repeat().status)
}

// TestIdempotency_RepeatOfACreation: a repeat is answered while the creator is a member, or isn't
// yet one in the mirror.
func TestIdempotency_RepeatOfACreation(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	creator := b.person("creator@callmine.test")
	create := func() exchange {
		return b.command(creator, http.MethodPost, "/v1/workspaces", `{"name":"Theirs"}`, headerKey, ownKey)
	}
	first := create()
	require.Equal(t, http.StatusCreated, first.status, "%s", first.body)
	workspace := b.fields(first)["workspace_id"].(string)
	require.Equal(t, first.body, create().body)
	_, err := b.pool.Exec(t.Context(), "DELETE FROM rolecall.memberships WHERE organization_id = $1", workspace)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, create().status, "the mirror never saw the membership")
	b.observeMembership(workspace, creator)
	require.Equal(t, http.StatusCreated, create().status)
	second := b.person("second@callmine.test")
	b.join(workspace, second, clerksim.RoleAdmin)
	x := b.command(second, http.MethodDelete, "/v1/workspaces/"+workspace+"/members/"+creator, "")
	require.Equal(t, http.StatusNoContent, x.status, "%s", x.body)
	x = create()
	require.Equal(t, http.StatusNotFound, x.status, "%s", x.body)
	require.Empty(t, x.header.Get(headerLocation))
	require.Empty(t, x.header.Get(headerRevision))
}

// ban bans a user in the mirror.
func (b *commandBundle) ban(user string) {
	b.tb.Helper()
	b.observe(b.read(clerksync.ResourceUser, json.RawMessage(`{"id":"`+user+`","banned":true}`))...)
}
