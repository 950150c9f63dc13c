package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// TestWholeProgram sends what happens at Clerk over real HTTP, signed by the svix library, and asks as each person.
func TestWholeProgram(t *testing.T) {
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
			b := setup(t, nil)
			var ids [4]string
			for i := range ids {
				user, err := b.clerk.CreateUser(clerksim.NewUser{})
				require.NoError(t, err)
				ids[i] = user.ID
			}
			admin, promoted, removed, stranger := ids[0], ids[1], ids[2], ids[3]
			organization, err := b.clerk.CreateOrganization(clerksim.NewOrganization{Name: "North", CreatedBy: admin})
			require.NoError(t, err)
			workspace := organization.ID
			for _, id := range []string{promoted, removed} {
				_, err = b.clerk.AddMember(workspace, id, clerksim.RoleMember)
				require.NoError(t, err)
			}
			_, err = b.clerk.SetRole(workspace, promoted, clerksim.RoleAdmin)
			require.NoError(t, err)
			require.NoError(t, b.clerk.RemoveMember(workspace, removed))
			b.send(t, order(b.clerk.Drain())...)

			asAdmin, asPromoted, asRemoved, asStranger := b.token(t, admin), b.token(t, promoted), b.token(t, removed), b.token(t, stranger)
			require.Equal(t, http.StatusOK, b.may(t, asAdmin, workspace, "billing:manage"))
			require.Equal(t, http.StatusOK, b.may(t, asPromoted, workspace, "billing:manage"))
			require.Equal(t, http.StatusNotFound, b.may(t, asRemoved, workspace, "reports:read"))
			require.Equal(t, http.StatusNotFound, b.may(t, asStranger, workspace, "reports:read"))
			require.Equal(t, http.StatusUnauthorized, b.may(t, "", workspace, "reports:read"))

			_, body := b.get(t, b.web("/v1/workspaces/"+workspace), asPromoted)
			require.Equal(t, "North", body["name"])
			require.Equal(t, admin, body["created_by"])
			require.InDelta(t, 2, body["member_count"], 0)
			_, body = b.get(t, b.web("/v1/me"), asRemoved)
			require.Empty(t, body["workspaces"])
			_, body = b.get(t, b.web("/v1/workspaces/"+workspace+"/members"), asAdmin)
			require.Len(t, body["data"], 2)

			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.web("/v1/authorize"), strings.NewReader(
				`{"checks":[{"user_id":"`+promoted+`","workspace_id":"`+workspace+`","permission":"billing:manage"},`+
					`{"user_id":"`+removed+`","workspace_id":"`+workspace+`","permission":"reports:read"}]}`))
			require.NoError(t, err)
			_, body = b.do(t, request, b.service)
			decisions := body["decisions"].([]any)
			require.Equal(t, "allowed", decisions[0].(map[string]any)["reason"])
			require.Equal(t, "org:admin", decisions[0].(map[string]any)["role"])
			require.Equal(t, "not_a_member", decisions[1].(map[string]any)["reason"])
			require.Positive(t, decisions[0].(map[string]any)["revision"])
		})
	}
}

// TestMemberIsRefusedAtTheNextRequestAfterRemoval and the promotion beside it keep one token throughout: the token's
// own role is out of date, and doesn't matter.
func TestOldTokensFollowTheMirror(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	admin, err := b.clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	member, err := b.clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	organization, err := b.clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(t, err)
	_, err = b.clerk.AddMember(organization.ID, member.ID, clerksim.RoleMember)
	require.NoError(t, err)
	b.send(t, b.clerk.Drain()...)

	for _, version := range []clerksim.TokenVersion{clerksim.TokenV1, clerksim.TokenV2} {
		token, err := b.clerk.SessionToken(member.ID, clerksim.TokenOptions{Version: version, OrganizationID: organization.ID})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, b.may(t, token, organization.ID, "reports:read"))
		require.Equal(t, http.StatusForbidden, b.may(t, token, organization.ID, "billing:manage"))

		_, err = b.clerk.SetRole(organization.ID, member.ID, clerksim.RoleAdmin)
		require.NoError(t, err)
		b.send(t, b.clerk.Drain()...)
		require.Equal(t, http.StatusOK, b.may(t, token, organization.ID, "billing:manage"), "promoted")

		require.NoError(t, b.clerk.RemoveMember(organization.ID, member.ID))
		b.send(t, b.clerk.Drain()...)
		require.Equal(t, http.StatusNotFound, b.may(t, token, organization.ID, "reports:read"), "removed")

		_, err = b.clerk.AddMember(organization.ID, member.ID, clerksim.RoleMember)
		require.NoError(t, err)
		b.send(t, b.clerk.Drain()...)
		require.Equal(t, http.StatusOK, b.may(t, token, organization.ID, "reports:read"), "back again")
	}
}

func TestAccountsThatMayDoNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	user, err := b.clerk.CreateUser(clerksim.NewUser{Directory: true})
	require.NoError(t, err)
	organization, err := b.clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: user.ID})
	require.NoError(t, err)
	token := b.token(t, user.ID)
	expect := func(status int) {
		t.Helper()
		b.send(t, b.clerk.Drain()...)
		require.Equal(t, status, b.may(t, token, organization.ID, "reports:read"))
		me, _ := b.get(t, b.web("/v1/me"), token)
		require.Equal(t, status, me)
	}
	expect(http.StatusOK)
	_, err = b.clerk.BanUser(user.ID)
	require.NoError(t, err)
	expect(http.StatusForbidden)
	_, err = b.clerk.UnbanUser(user.ID)
	require.NoError(t, err)
	expect(http.StatusOK)
	_, err = b.clerk.DeprovisionUser(user.ID)
	require.NoError(t, err)
	expect(http.StatusForbidden)
	_, err = b.clerk.RestoreUser(user.ID)
	require.NoError(t, err)
	expect(http.StatusOK)
	require.NoError(t, b.clerk.DeleteUser(user.ID))
	expect(http.StatusForbidden)
}

func TestDeletedOrganizationEndsAccessByItself(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	user, err := b.clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	organization, err := b.clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: user.ID})
	require.NoError(t, err)
	b.send(t, b.clerk.Drain()...)
	token := b.token(t, user.ID)
	require.Equal(t, http.StatusOK, b.may(t, token, organization.ID, "reports:read"))
	require.NoError(t, b.clerk.DeleteOrganization(organization.ID))
	b.send(t, b.clerk.Drain()...)
	require.Equal(t, http.StatusNotFound, b.may(t, token, organization.ID, "reports:read"))
}
