package api

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

const invitationsOfOne = "/v1/workspaces/org_1/invitations"

func TestInvitations_AreListedByStatus(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.organization("org_1", "One", nil)
	b.world.member("org_1", "user_admin", "org:admin", nil)
	b.world.member("org_1", "user_member", "org:member", nil)
	now := time.Now()
	for i, tc := range []struct {
		status  string
		expires any
	}{
		{"pending", now.Add(time.Hour).UnixMilli()},
		{"pending", nil},
		{"pending", now.Add(-time.Hour).UnixMilli()},
		{"accepted", now.Add(-time.Hour).UnixMilli()},
		{"revoked", nil},
	} {
		b.world.invitation(fmt.Sprintf("orginv_%d", i), "org_1", map[string]any{
			"status": tc.status, "expires_at": tc.expires, "created_at": worldBegan().UnixMilli() + int64(i), "inviter_id": "user_admin",
		})
	}
	b.world.invitation("orginv_other", "org_2", map[string]any{"status": "pending"})
	ids := func(query string) (ids []string) {
		for _, i := range answerOf[page[invitationBody]](t, b.get("user_admin", invitationsOfOne+query)).Data {
			ids = append(ids, i.ID)
		}
		return ids
	}
	require.Equal(t, []string{"orginv_0", "orginv_1"}, ids(""))
	require.Equal(t, []string{"orginv_0", "orginv_1"}, ids("?status=pending"))
	require.Equal(t, []string{"orginv_2"}, ids("?status=expired"))
	require.Equal(t, []string{"orginv_3"}, ids("?status=accepted"))
	require.Equal(t, []string{"orginv_4"}, ids("?status=revoked"))

	first := answerOf[page[invitationBody]](t, b.get("user_admin", invitationsOfOne+"?limit=1"))
	require.Equal(t, "orginv_0", first.Data[0].ID)
	require.Equal(t, "guest@callmine.test", first.Data[0].Email)
	require.Equal(t, "user_admin", *first.Data[0].InvitedBy)
	require.NotNil(t, first.NextCursor)
	second := answerOf[page[invitationBody]](t, b.get("user_admin", invitationsOfOne+"?limit=1&cursor="+*first.NextCursor))
	require.Equal(t, "orginv_1", second.Data[0].ID)
	require.Nil(t, second.NextCursor)

	requireProblem(t, b.get("user_admin", invitationsOfOne+"?status=lost"), http.StatusBadRequest, "")
	requireProblem(t, b.get("user_member", invitationsOfOne), http.StatusForbidden, clerksync.ReasonPermissionMissing)
	requireProblem(t, b.get("user_stranger", invitationsOfOne), http.StatusNotFound, "")
}
