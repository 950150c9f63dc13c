package clerkapi_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestList_MissingIsEmptyOnlyIfItsOwnerIsGone: a 404 for the list of a live object is a refusal,
// whatever its code.
func TestList_MissingIsEmptyOnlyIfItsOwnerIsGone(t *testing.T) {
	t.Parallel()
	const pair = "org_1 user_1"
	asks := map[string]func(*clerkapi.Client) (int, error){
		"members": func(c *clerkapi.Client) (int, error) {
			page, err := c.List(t.Context(), clerksync.ResourceMembership, clerksync.PageRequest{Limit: 1, OrganizationID: "org_1"})
			return len(page.Objects), err
		},
		"invitations": func(c *clerkapi.Client) (int, error) {
			page, err := c.List(t.Context(), clerksync.ResourceInvitation, clerksync.PageRequest{Limit: 1, OrganizationID: "org_1"})
			return len(page.Objects), err
		},
		"membership": func(c *clerkapi.Client) (int, error) {
			return counted(c.Find(t.Context(), clerksync.ResourceMembership, clerksync.Reference{OrganizationID: "org_1", UserID: "user_1"}))
		},
		"domain": func(c *clerkapi.Client) (int, error) {
			return counted(c.Find(t.Context(), clerksync.ResourceDomain, clerksync.Reference{OrganizationID: "org_1", ID: "orgdmn_1"}))
		},
		"a user's": func(c *clerkapi.Client) (int, error) { return counted(c.UserMemberships(t.Context(), "user_1")) },
		"pending": func(c *clerkapi.Client) (int, error) {
			return counted(c.PendingInvitations(t.Context(), "org_1", "a@callmine.test"))
		},
	}
	for name, ask := range asks {
		for lives, gone := range map[string]bool{pair: false, "": true} {
			client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				owner := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
				if strings.Contains(lives, owner) && owner != "" {
					_, _ = w.Write([]byte(`{"id":"` + owner + `"}`))
					return
				}
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte(notFound))
			}))
			found, err := ask(client)
			require.Zero(t, found, name)
			if gone {
				require.NoError(t, err, name)
				continue
			}
			refusal, ok := errors.AsType[clerksync.Explained](err)
			require.True(t, ok, "%s: %v", name, err)
			require.Equal(t, clerksync.Explanation{Status: http.StatusNotFound, Code: "resource_not_found", TraceID: "trace_1"}, refusal.Explain())
		}
	}
}

func counted(found []json.RawMessage, err error) (int, error) { return len(found), err }

// TestList_MissingWholeListIsRefused.
func TestList_MissingWholeListIsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusGone} {
		for _, resource := range clerksync.Resources() {
			client := answering(t, status, featureOff)
			_, err := client.List(t.Context(), resource, clerksync.PageRequest{Limit: 1})
			refusal, ok := errors.AsType[clerksync.Explained](err)
			require.True(t, ok, "%s: %v", resource, err)
			want := clerksync.Explanation{Status: status, Code: "organization_domains_not_enabled", TraceID: "trace_2"}
			require.Equal(t, want, refusal.Explain())
			require.NotErrorIs(t, err, clerkapi.ErrUnauthorized)
		}
	}
}

// TestError_HoldsNoAddress from Clerk's message or from a proxy's page.
func TestError_HoldsNoAddress(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"errors":[{"code":"duplicate_record","message":"kim@callmine.test has a pending invitation"}]}`,
		"<html> no such address: <kim@callmine.test>", strings.Repeat("x ", 95) + "kim@callmine.test",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(body))
		}))
		client := newClient(t, clerkapi.Config{URL: server.URL, Transport: &http.Transport{}})
		_, err := client.Instance(t.Context())
		server.Close()
		require.Error(t, err)
		require.NotContains(t, err.Error(), "kim")
	}
}
