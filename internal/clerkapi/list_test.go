package clerkapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

// populated is a world with two organizations, and the objects of each resource that belong to the
// first one.
type populated struct {
	world          *clerksim.World
	organizationID string
	ofFirst        map[clerksync.Resource]int
	all            map[clerksync.Resource]int
	global         map[clerksync.Resource]string // ids of objects without an organization; Clerk has others of its own
}

func populate(t *testing.T) populated {
	t.Helper()
	world := newWorld(t, clerksim.Config{})
	var organizations []clerksim.Organization
	for i := range 2 {
		admin, err := world.CreateUser(clerksim.NewUser{})
		require.NoError(t, err)
		organization, err := world.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
		require.NoError(t, err)
		organizations = append(organizations, organization)
		for range 3 + i {
			user, err := world.CreateUser(clerksim.NewUser{})
			require.NoError(t, err)
			_, err = world.AddMember(organization.ID, user.ID, "")
			require.NoError(t, err)
		}
		for _, name := range []string{"one", "two"}[i:] {
			_, err = world.AddDomain(organization.ID, fmt.Sprintf("%s%d.test", name, i))
			require.NoError(t, err)
			invitation, err := world.Invite(organization.ID, admin.ID, name+"@callmine.test", "")
			require.NoError(t, err)
			if name == "one" { // invitations of every state are listed
				_, err = world.Revoke(invitation.ID)
				require.NoError(t, err)
			}
		}
	}
	permission, err := world.CreatePermission("org:invoices:read", "Read invoices")
	require.NoError(t, err)
	role, err := world.CreateRole(clerksim.NewRole{Key: "org:clerk"})
	require.NoError(t, err)
	return populated{
		world: world, organizationID: organizations[0].ID,
		ofFirst: map[clerksync.Resource]int{
			clerksync.ResourceOrganization: 1, clerksync.ResourceUser: 4, clerksync.ResourceMembership: 4,
			clerksync.ResourceInvitation: 2, clerksync.ResourceDomain: 2,
		},
		all: map[clerksync.Resource]int{
			clerksync.ResourceOrganization: 2, clerksync.ResourceUser: 9, clerksync.ResourceMembership: 9,
			clerksync.ResourceInvitation: 3, clerksync.ResourceDomain: 3,
		},
		global: map[clerksync.Resource]string{
			clerksync.ResourceRole: role.ID, clerksync.ResourcePermission: permission.ID,
		},
	}
}

// listAll pages through a list by 2 and returns all ids, in order.
func listAll(t *testing.T, client *clerkapi.Client, resource clerksync.Resource, organizationID string) []string {
	t.Helper()
	var ids []string
	r := clerksync.PageRequest{Limit: 2, OrganizationID: organizationID}
	for {
		page, err := client.List(t.Context(), resource, r)
		require.NoError(t, err)
		ids = append(ids, idsOf(t, page.Objects)...)
		if len(page.Objects) == r.Limit && resource == clerksync.ResourceUser {
			require.Equal(t, -1, page.Total, "only the last page of users is counted")
			r.After = ids[len(ids)-1]
			continue
		}
		if r.Offset += len(page.Objects); len(ids) >= page.Total {
			require.Len(t, ids, page.Total)
			return ids
		}
		require.NotEmpty(t, page.Objects)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	p := populate(t)
	client := serve(t, p.world.Handler())
	for _, resource := range clerksync.Resources() {
		t.Run(string(resource), func(t *testing.T) {
			t.Parallel()
			ids := listAll(t, client, resource, "")
			if id, isGlobal := p.global[resource]; isGlobal {
				require.Contains(t, ids, id)
				require.Greater(t, len(ids), 2, "more than a page")
			} else {
				require.Len(t, ids, p.all[resource])
			}
			require.Len(t, set(ids), len(ids), "no page repeats another")

			_, err := client.List(t.Context(), resource, clerksync.PageRequest{Limit: 2, OrganizationID: p.organizationID})
			if want, ofOne := p.ofFirst[resource]; ofOne {
				require.NoError(t, err)
				require.Len(t, listAll(t, client, resource, p.organizationID), want)
			} else {
				require.ErrorContains(t, err, "can't be listed by organization")
			}
		})
	}
}

func set(ids []string) map[string]bool {
	all := map[string]bool{}
	for _, id := range ids {
		all[id] = true
	}
	return all
}

func TestList_SendsItsOrderEscaped(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RequestURI()
		_, _ = w.Write([]byte(list("0")))
	}))
	_, err := client.List(t.Context(), clerksync.ResourceMembership, clerksync.PageRequest{Limit: 500, Offset: 1000})
	require.NoError(t, err)
	require.Equal(t, "/v1/organization_memberships?limit=500&offset=1000&order_by=%2Bcreated_at", <-asked)
}

// TestList_KeepsObjectsAsTheyAre: with their nulls, unknown fields and spellings of numbers.
func TestList_KeepsObjectsAsTheyAre(t *testing.T) {
	t.Parallel()
	const object = `{"id":"org_1", "slug":null,"new_field":{"n":1.50},"created_at":1790000000000}`
	page, err := answering(t, http.StatusOK, list("1", object)).
		List(t.Context(), clerksync.ResourceOrganization, clerksync.PageRequest{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, []json.RawMessage{json.RawMessage(object)}, page.Objects)

	p := populate(t)
	page, err = serve(t, p.world.Handler()).
		List(t.Context(), clerksync.ResourceOrganization, clerksync.PageRequest{Limit: 1})
	require.NoError(t, err)
	require.True(t, bytes.Contains(page.Objects[0], []byte(`"slug":null`)), "%s", page.Objects[0])
}

func TestList_OfADeletedOrganization(t *testing.T) {
	t.Parallel()
	world := newWorld(t, clerksim.Config{})
	client := serve(t, world.Handler())
	gone := clerksync.PageRequest{Limit: 10, OrganizationID: "org_gone"}
	page, err := client.List(t.Context(), clerksync.ResourceOrganization, gone)
	require.NoError(t, err)
	require.Empty(t, page.Objects)
	require.Zero(t, page.Total)

	page, err = client.List(t.Context(), clerksync.ResourceMembership, gone)
	require.NoError(t, err)
	require.Empty(t, page.Objects)
	require.Zero(t, page.Total)
}

func TestList_RefusesInvalidPages(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":            ``,
		"null":               `null`,
		"no data":            `{"total_count":0}`,
		"data is null":       `{"data":null,"total_count":0}`,
		"data is an object":  `{"data":{},"total_count":0}`,
		"no total":           `{"data":[]}`,
		"total is null":      `{"data":[],"total_count":null}`,
		"total is negative":  list("-1"),
		"more than asked":    list("3", `{"id":"a"}`, `{"id":"b"}`, `{"id":"c"}`),
		"cut off":            `{"data":[{"id":"a"}`,
		"page of a proxy":    `<html>welcome</html>`,
		"errors with status": `{"errors":[{"code":"x","message":"y"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := answering(t, http.StatusOK, body).
				List(t.Context(), clerksync.ResourceRole, clerksync.PageRequest{Limit: 2})
			require.ErrorIs(t, err, clerkapi.ErrMalformed)
			require.NotErrorIs(t, err, clerkapi.ErrUnavailable)
			require.Empty(t, page)
		})
	}
}

func TestListUsers_RefusesInvalidPages(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"null": `null`, "the usual form": list("0"), "more than asked": `[{"id":"a"},{"id":"b"}]`,
		"a count without total": `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := answering(t, http.StatusOK, body).
				List(t.Context(), clerksync.ResourceUser, clerksync.PageRequest{Limit: 1})
			require.ErrorIs(t, err, clerkapi.ErrMalformed)
		})
	}
}

func TestList_RefusesBadRequestsWithoutACall(t *testing.T) {
	t.Parallel()
	w := always(http.StatusOK, list("0"))
	client := newClient(t, clerkapi.Config{Transport: w})
	for name, r := range map[string]clerksync.PageRequest{
		"no limit": {}, "limit too high": {Limit: 501}, "negative offset": {Limit: 1, Offset: -1},
		"cursor of a list without": {Limit: 1, After: "org_1"}, "odd organization": {Limit: 1, OrganizationID: "org_1/users"},
	} {
		_, err := client.List(t.Context(), clerksync.ResourceOrganization, r)
		require.Error(t, err, name)
	}
	_, err := client.List(t.Context(), clerksync.ResourceUser, clerksync.PageRequest{Limit: 1, After: "user_1", Offset: 1})
	require.Error(t, err)
	_, err = client.List(t.Context(), "session", clerksync.PageRequest{Limit: 1})
	require.ErrorContains(t, err, "unknown resource")
	require.Empty(t, w.times())
}

func TestList_RefusesAnEndlessAnswer(t *testing.T) {
	t.Parallel()
	w := always(http.StatusOK, strings.Repeat(" ", 33<<20))
	_, err := newClient(t, clerkapi.Config{Transport: w}).
		List(t.Context(), clerksync.ResourceRole, clerksync.PageRequest{Limit: 1})
	require.ErrorIs(t, err, clerkapi.ErrMalformed)
	require.ErrorContains(t, err, "larger than")
	require.Len(t, w.times(), 1, "the next one would be as large")
}
