package service_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// TestEndToEnd_WholeProgram sends Clerk's events over real HTTP, signed by the svix library, and
// asks as each person.
func TestEndToEnd_WholeProgram(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]func([]clerksim.Message) []clerksim.Message{
		"in order": func(m []clerksim.Message) []clerksim.Message { return m },
		"in the worst order": func(m []clerksim.Message) []clerksim.Message {
			m = slices.Clone(m)
			slices.Reverse(m)
			return m
		},
		"each twice, back and forth": func(m []clerksim.Message) []clerksim.Message {
			back := slices.Clone(m)
			slices.Reverse(back)
			return slices.Concat(back, m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := servicetest.Setup(t, nil)
			var ids [4]string
			for i := range ids {
				user, err := b.Clerk.CreateUser(clerksim.NewUser{})
				require.NoError(t, err)
				ids[i] = user.ID
			}
			admin, promoted, removed, stranger := ids[0], ids[1], ids[2], ids[3]
			organization, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: "North", CreatedBy: admin})
			require.NoError(t, err)
			workspace := organization.ID
			for _, id := range []string{promoted, removed} {
				_, err = b.Clerk.AddMember(workspace, id, clerksim.RoleMember)
				require.NoError(t, err)
			}
			_, err = b.Clerk.SetRole(workspace, promoted, clerksim.RoleAdmin)
			require.NoError(t, err)
			require.NoError(t, b.Clerk.RemoveMember(workspace, removed))
			b.Send(t, order(b.Clerk.Drain())...)

			asAdmin, asPromoted, asRemoved, asStranger := b.Token(t, admin), b.Token(t, promoted), b.Token(t, removed), b.Token(t, stranger)
			require.Equal(t, http.StatusOK, b.May(t, asAdmin, workspace, "billing:manage"))
			require.Equal(t, http.StatusOK, b.May(t, asPromoted, workspace, "billing:manage"))
			require.Equal(t, http.StatusNotFound, b.May(t, asRemoved, workspace, "reports:read"))
			require.Equal(t, http.StatusNotFound, b.May(t, asStranger, workspace, "reports:read"))
			require.Equal(t, http.StatusUnauthorized, b.May(t, "", workspace, "reports:read"))

			_, body := b.Get(t, b.Web("/v1/workspaces/"+workspace), asPromoted)
			require.Equal(t, "North", body["name"])
			require.Equal(t, admin, body["created_by"])
			require.InDelta(t, 2, body["member_count"], 0)
			_, body = b.Get(t, b.Web("/v1/me"), asRemoved)
			require.Empty(t, body["workspaces"])
			_, body = b.Get(t, b.Web("/v1/workspaces/"+workspace+"/members"), asAdmin)
			require.Len(t, body["data"], 2)

			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Web("/v1/authorize"), strings.NewReader(
				`{"checks":[{"user_id":"`+promoted+`","workspace_id":"`+workspace+`","permission":"billing:manage"},`+
					`{"user_id":"`+removed+`","workspace_id":"`+workspace+`","permission":"reports:read"}]}`))
			require.NoError(t, err)
			_, body = b.Do(t, request, b.ServiceToken)
			decisions := body["decisions"].([]any)
			require.Equal(t, "allowed", decisions[0].(map[string]any)["reason"])
			require.Equal(t, "org:admin", decisions[0].(map[string]any)["role"])
			require.Equal(t, "not_a_member", decisions[1].(map[string]any)["reason"])
			require.Positive(t, decisions[0].(map[string]any)["revision"])
		})
	}
}

// TestEndToEnd_OldTokensFollowTheMirror keeps one token through a promotion, a removal and a
// return: the token's own role is out of date, and doesn't count.
func TestEndToEnd_OldTokensFollowTheMirror(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	admin, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	member, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	organization, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(t, err)
	_, err = b.Clerk.AddMember(organization.ID, member.ID, clerksim.RoleMember)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)

	for _, version := range []clerksim.TokenVersion{clerksim.TokenV1, clerksim.TokenV2} {
		token, err := b.Clerk.SessionToken(member.ID, clerksim.TokenOptions{Version: version, OrganizationID: organization.ID})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, b.May(t, token, organization.ID, "reports:read"))
		require.Equal(t, http.StatusForbidden, b.May(t, token, organization.ID, "billing:manage"))

		_, err = b.Clerk.SetRole(organization.ID, member.ID, clerksim.RoleAdmin)
		require.NoError(t, err)
		b.Send(t, b.Clerk.Drain()...)
		require.Equal(t, http.StatusOK, b.May(t, token, organization.ID, "billing:manage"), "promoted")

		require.NoError(t, b.Clerk.RemoveMember(organization.ID, member.ID))
		b.Send(t, b.Clerk.Drain()...)
		require.Equal(t, http.StatusNotFound, b.May(t, token, organization.ID, "reports:read"), "removed")

		_, err = b.Clerk.AddMember(organization.ID, member.ID, clerksim.RoleMember)
		require.NoError(t, err)
		b.Send(t, b.Clerk.Drain()...)
		require.Equal(t, http.StatusOK, b.May(t, token, organization.ID, "reports:read"), "back again")
	}
}

func TestEndToEnd_BarredAccountsAreRefused(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	user, err := b.Clerk.CreateUser(clerksim.NewUser{Directory: true})
	require.NoError(t, err)
	organization, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: user.ID})
	require.NoError(t, err)
	token := b.Token(t, user.ID)
	expect := func(status int) {
		t.Helper()
		b.Send(t, b.Clerk.Drain()...)
		require.Equal(t, status, b.May(t, token, organization.ID, "reports:read"))
		me, _ := b.Get(t, b.Web("/v1/me"), token)
		require.Equal(t, status, me)
	}
	expect(http.StatusOK)
	_, err = b.Clerk.BanUser(user.ID)
	require.NoError(t, err)
	expect(http.StatusForbidden)
	_, err = b.Clerk.UnbanUser(user.ID)
	require.NoError(t, err)
	expect(http.StatusOK)
	_, err = b.Clerk.DeprovisionUser(user.ID)
	require.NoError(t, err)
	expect(http.StatusForbidden)
	_, err = b.Clerk.RestoreUser(user.ID)
	require.NoError(t, err)
	expect(http.StatusOK)
	require.NoError(t, b.Clerk.DeleteUser(user.ID))
	expect(http.StatusForbidden)
}

func TestEndToEnd_DeletedOrganizationEndsAccess(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	user, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	organization, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: user.ID})
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	token := b.Token(t, user.ID)
	require.Equal(t, http.StatusOK, b.May(t, token, organization.ID, "reports:read"))
	require.NoError(t, b.Clerk.DeleteOrganization(organization.ID))
	b.Send(t, b.Clerk.Drain()...)
	require.Equal(t, http.StatusNotFound, b.May(t, token, organization.ID, "reports:read"))
}
