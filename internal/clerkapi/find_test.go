package clerkapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestFind(t *testing.T) {
	t.Parallel()
	p := populate(t)
	client := serve(t, p.world.Handler())
	for _, resource := range clerksync.Resources() {
		t.Run(string(resource), func(t *testing.T) {
			t.Parallel()
			organizationID := p.organizationID
			if resource == clerksync.ResourceRole || resource == clerksync.ResourcePermission {
				organizationID = ""
			}
			id := listAll(t, client, resource, organizationID)[0]
			ref := clerksync.Reference{ID: id, OrganizationID: p.organizationID}
			if resource == clerksync.ResourceMembership {
				for _, m := range p.world.Directory().Memberships() {
					if m.ID == id {
						ref.UserID = m.UserID
					}
				}
			}
			found, err := client.Find(t.Context(), resource, ref)
			require.NoError(t, err)
			require.Equal(t, []string{id}, idsOf(t, found))

			ref.ID = "x_gone"
			found, err = client.Find(t.Context(), resource, ref)
			require.NoError(t, err)
			require.Empty(t, found)
		})
	}
}

func TestFind_MembershipOfAPair(t *testing.T) {
	t.Parallel()
	p := populate(t)
	client := serve(t, p.world.Handler())
	member := p.world.Directory().Memberships()[0]
	ref := clerksync.Reference{OrganizationID: member.OrganizationID, UserID: member.UserID}
	found, err := client.Find(t.Context(), clerksync.ResourceMembership, ref)
	require.NoError(t, err)
	require.Equal(t, []string{member.ID}, idsOf(t, found))

	stranger, err := p.world.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	for name, absent := range map[string]clerksync.Reference{
		"no member":       {OrganizationID: member.OrganizationID, UserID: stranger.ID},
		"no user":         {OrganizationID: member.OrganizationID, UserID: "user_gone"},
		"no organization": {OrganizationID: "org_gone", UserID: member.UserID},
	} {
		found, err := client.Find(t.Context(), clerksync.ResourceMembership, absent)
		require.NoError(t, err, name)
		require.Empty(t, found, name)
	}
}

// TestFind_RefusesAnotherOrganizationsMembership: it must not count as a membership here.
func TestFind_RefusesAnotherOrganizationsMembership(t *testing.T) {
	t.Parallel()
	client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(list("1", `{"id":"orgmem_1","organization":{"id":"org_2"},"public_user_data":{"user_id":"user_1"}}`)))
	}))
	_, err := client.Find(t.Context(), clerksync.ResourceMembership, clerksync.Reference{OrganizationID: "org_1", UserID: "user_1"})
	require.ErrorIs(t, err, clerkapi.ErrMalformed)
}

// TestUserMemberships lists what one user belongs to.
func TestUserMemberships(t *testing.T) {
	t.Parallel()
	client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/users/user_1/organization_memberships" && r.URL.Path != "/v1/users/user_1/organization_memberships" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"errors":[{"code":"resource_not_found","message":"gone"}]}`))
			return
		}
		_, _ = w.Write([]byte(list("1", `{"id":"orgmem_1","organization":{"id":"org_2"},"public_user_data":{"user_id":"user_1"}}`)))
	}))
	found, err := client.UserMemberships(t.Context(), "user_1")
	require.NoError(t, err)
	require.Equal(t, []string{"orgmem_1"}, idsOf(t, found))
	found, err = client.UserMemberships(t.Context(), "user_gone")
	require.NoError(t, err)
	require.Empty(t, found)
}

// TestFind_ChecksWhatTheFilterReturns: "any user ids not found are ignored", says Clerk, and then
// returns other users' memberships.
func TestFind_ChecksWhatTheFilterReturns(t *testing.T) {
	t.Parallel()
	const members = 1201 // three pages
	client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		var objects []string
		for i := offset; i < min(offset+500, members); i++ {
			objects = append(objects, fmt.Sprintf(`{"id":"orgmem_%d","organization":{"id":"org_1"},"public_user_data":{"user_id":"user_%d"}}`, i, i%1200))
		}
		_, _ = w.Write([]byte(list(strconv.Itoa(members), objects...)))
	}))
	for user, want := range map[string][]string{
		"user_0": {"orgmem_0", "orgmem_1200"}, "user_700": {"orgmem_700"}, "user_gone": {},
	} {
		found, err := client.Find(t.Context(), clerksync.ResourceMembership,
			clerksync.Reference{OrganizationID: "org_1", UserID: user})
		require.NoError(t, err)
		require.Equal(t, want, idsOf(t, found))
	}
}

// TestFind_CountsARowOnce: a list that shifts shows one row twice.
func TestFind_CountsARowOnce(t *testing.T) {
	t.Parallel()
	const row = `{"id":"orgmem_1","organization":{"id":"org_1"},"public_user_data":{"user_id":"user_1"}}`
	ref := clerksync.Reference{OrganizationID: "org_1", UserID: "user_1"}
	found, err := answering(t, http.StatusOK, list("1", row, row)).Find(t.Context(), clerksync.ResourceMembership, ref)
	require.NoError(t, err)
	require.Len(t, found, 1)
	_, err = answering(t, http.StatusOK, list("2", row, row)).Find(t.Context(), clerksync.ResourceMembership, ref)
	require.ErrorIs(t, err, clerkapi.ErrMalformed, "the other one may have been skipped")
}

// TestFind_IsNotMisled: only Clerk's own 404 or complete list means that there is no such object.
func TestFind_IsNotMisled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"404 of a proxy":       {http.StatusNotFound, `<html>not found</html>`, clerkapi.ErrMalformed},
		"404 without body":     {http.StatusNotFound, ``, clerkapi.ErrMalformed},
		"404 of other JSON":    {http.StatusNotFound, `{"message":"no route"}`, clerkapi.ErrMalformed},
		"404 without errors":   {http.StatusNotFound, `{"errors":[]}`, clerkapi.ErrMalformed},
		"200 and null":         {http.StatusOK, `null`, clerkapi.ErrMalformed},
		"200 and nothing":      {http.StatusOK, ``, clerkapi.ErrMalformed},
		"200 and HTML":         {http.StatusOK, `<html>`, clerkapi.ErrMalformed},
		"204":                  {http.StatusNoContent, ``, clerkapi.ErrMalformed},
		"another object":       {http.StatusOK, `{"id":"x_2"}`, clerkapi.ErrMalformed},
		"401":                  {http.StatusUnauthorized, notFound, clerkapi.ErrUnauthorized},
		"402":                  {http.StatusPaymentRequired, featureOff, nil},
		"403":                  {http.StatusForbidden, notFound, nil},
		"403 of a proxy":       {http.StatusForbidden, `<html>forbidden</html>`, clerkapi.ErrMalformed},
		"404 of a feature":     {http.StatusNotFound, featureOff, nil},
		"410":                  {http.StatusGone, featureOff, nil},
		"redirect":             {http.StatusFound, ``, clerkapi.ErrMalformed},
		"a list with less":     {http.StatusOK, list("1"), clerkapi.ErrMalformed},
		"a list without users": {http.StatusOK, list("1", `{"id":"a","public_user_data":null}`), clerkapi.ErrMalformed},
	} {
		for _, resource := range clerksync.Resources() {
			isList := resource == clerksync.ResourceMembership || resource == clerksync.ResourceDomain
			switch {
			case name == "a list without users" && resource != clerksync.ResourceMembership:
				continue
			case strings.HasPrefix(name, "a list") && !isList:
				continue
			}
			t.Run(name+" "+string(resource), func(t *testing.T) {
				t.Parallel()
				found, err := answering(t, c.status, c.body).Find(t.Context(), resource,
					clerksync.Reference{ID: "x_1", OrganizationID: "org_1", UserID: "user_1"})
				require.Nil(t, found)
				if c.want != nil {
					require.ErrorIs(t, err, c.want)
					return
				}
				refusal, ok := errors.AsType[clerksync.Explained](err)
				require.True(t, ok, err)
				require.Equal(t, c.status, refusal.Explain().Status)
				require.NotErrorIs(t, err, clerkapi.ErrUnauthorized)
			})
		}
	}
}

func TestFind_RefusesOddIDsWithoutACall(t *testing.T) {
	t.Parallel()
	w := always(http.StatusOK, list("0"))
	client := newClient(t, clerkapi.Config{Transport: w})
	for _, odd := range []string{"", "a/b", "..", "a?b", "a#b", "-user_1", "+user_1", "a b", "a%2Fb", "ä", "a\n", strings.Repeat("a", 256)} {
		for _, resource := range clerksync.Resources() {
			ref := clerksync.Reference{ID: odd, OrganizationID: "org_1", UserID: "user_1"}
			if resource == clerksync.ResourceMembership {
				ref = clerksync.Reference{OrganizationID: "org_1", UserID: odd}
			}
			_, err := client.Find(t.Context(), resource, ref)
			require.Error(t, err, "%s %q", resource, odd)
		}
		_, err := client.Find(t.Context(), clerksync.ResourceInvitation, clerksync.Reference{ID: "x_1", OrganizationID: odd})
		require.Error(t, err, "%q", odd)
	}
	_, err := client.Find(t.Context(), "session", clerksync.Reference{ID: "x_1"})
	require.Error(t, err)
	require.Empty(t, w.times())
}
