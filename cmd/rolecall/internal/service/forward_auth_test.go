package service_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// nginx runs the documented configuration before a service, and returns a client whose every
// connection leads to it.
func nginx(t *testing.T, rolecall, service string) *http.Client {
	t.Helper()
	dial := servicetest.RunNginx(t, servicetest.InRepository(t, "deploy/nginx.conf"), map[string]string{"127.0.0.1:8080": rolecall, "127.0.0.1:3000": service})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestNginx_EnforcesRolecallsDecisions with a real nginx, by auth_request, before a service that
// doesn't know tokens.
func TestNginx_EnforcesRolecallsDecisions(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	admin, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	member, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	banned, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	stranger, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	organization, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(t, err)
	for _, id := range []string{member.ID, banned.ID} {
		_, err = b.Clerk.AddMember(organization.ID, id, clerksim.RoleMember)
		require.NoError(t, err)
	}
	_, err = b.Clerk.BanUser(banned.ID)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)

	var served atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		body, _ := io.ReadAll(r.Body)
		seen := http.Header{}
		for name, values := range r.Header {
			if strings.HasPrefix(name, "Rolecall") {
				seen[name] = values
			}
		}
		_ = seen.Write(w)
		_, _ = w.Write(body)
	}))
	t.Cleanup(service.Close)
	client := nginx(t, b.Service.WebAddr, service.Listener.Addr().String())
	send := func(token, path string, headers ...string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://nginx"+path, bytes.NewBufferString("the body"))
		require.NoError(t, err)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		for i := 0; i < len(headers); i += 2 {
			request.Header.Add(headers[i], headers[i+1])
		}
		response, err := client.Do(request)
		require.NoError(t, err)
		defer func() { require.NoError(t, response.Body.Close()) }()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(body)
	}
	refused := func(want int, token, path string, headers ...string) {
		t.Helper()
		before := served.Load()
		status, body := send(token, path, headers...)
		require.Equal(t, want, status, body)
		require.Equal(t, before, served.Load(), "it didn't get through")
	}

	reports := "/w/" + organization.ID + "/reports"
	memberToken := b.Token(t, member.ID)
	let := "Rolecall-Role: org:member\r\nRolecall-User: " + member.ID + "\r\nRolecall-Workspace: " + organization.ID + "\r\nthe body"
	status, body := send(memberToken, reports+"/81?q=1")
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, let, body)

	forged := []string{
		"Rolecall-User", admin.ID, "rolecall-role", "org:admin", "Rolecall-Role", "org:admin", "Rolecall-Workspace", "org_other",
		"Rolecall-Permission", "billing:manage", "Rolecall-On-Behalf-Of", admin.ID, "Rolecall_User", admin.ID,
	}
	status, body = send(memberToken, reports, forged...)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, let, body, "the client's own headers don't count")

	refused(http.StatusUnauthorized, "", reports, forged...)
	refused(http.StatusUnauthorized, memberToken+"x", reports, forged...)
	refused(http.StatusForbidden, b.Token(t, banned.ID), reports, forged...)
	refused(http.StatusNotFound, b.Token(t, stranger.ID), reports, forged...)
	refused(http.StatusNotFound, memberToken, "/w/org_none/reports")
	refused(http.StatusNotFound, memberToken, "/w/"+organization.ID+"%26permission=/reports")
	refused(http.StatusNotFound, memberToken, "/_rolecall?workspace_id="+organization.ID)
	for _, up := range []string{"/../../..", "/%2e%2e/%2E%2e/..", "//../../.."} { // the service must get the workspace that Rolecall was asked about
		refused(http.StatusNotFound, memberToken, "/w/org_other/reports"+up+reports)
	}
	refused(http.StatusServiceUnavailable, b.ServiceToken, reports, "Rolecall-On-Behalf-Of", admin.ID)

	require.NoError(t, b.Clerk.RemoveMember(organization.ID, member.ID))
	b.Send(t, b.Clerk.Drain()...)
	refused(http.StatusNotFound, memberToken, reports)

	adminToken := b.Token(t, admin.ID)
	status, _ = send(adminToken, reports)
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, b.Service.Stop(t.Context()))
	refused(http.StatusServiceUnavailable, adminToken, reports, forged...)
}

// rawly sends a request with its target unchanged, and returns the status and the service's answer.
func rawly(t *testing.T, nginx *http.Client, target, token string) (int, string) {
	t.Helper()
	transport, ok := nginx.Transport.(*http.Transport)
	require.True(t, ok)
	connection, err := transport.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	defer func() { require.NoError(t, connection.Close()) }()
	_, err = io.WriteString(connection, "GET "+target+" HTTP/1.1\r\nHost: nginx\r\nConnection: close\r\nAuthorization: Bearer "+token+"\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// TestNginx_RefusesPathsThatNameTwoWorkspaces: services and nginx normalize paths by different
// rules. RFC 3986 keeps empty segments, which nginx merges; browsers' URLs (WHATWG, so Node's,
// Deno's and Bun's) take \ for /; Tomcat and Jetty drop ;… from a segment before they look for
// dots; nginx ends a path at # and passes on what follows.
func TestNginx_RefusesPathsThatNameTwoWorkspaces(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	admin, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	organization, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		base, err := url.Parse("http://service/")
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(w, base.ResolveReference(r.URL).Path) // RFC 3986, section 5.2.4, as Go has it
	}))
	t.Cleanup(service.Close)
	client, token := nginx(t, b.Service.WebAddr, service.Listener.Addr().String()), b.Token(t, admin.ID)
	own := "/w/" + organization.ID + "/reports"
	status, seen := rawly(t, client, own+"/81", token)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, own+"/81", seen)
	status, seen = rawly(t, client, own+"/81/v1.2_a~b-c/?page=2&next=/../x", token)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, own+"/81/v1.2_a~b-c/", seen)
	for rule, target := range map[string]string{
		"RFC 3986":   own + "/../../../w/org_other/reports/////../../../" + own[1:],
		"WHATWG":     own + `/..\..\..\w\org_other\reports`,
		"encoded":    own + `/..%5c..%5c..%5cw/org_other/reports`,
		"parameters": own + "/..;/..;/..;/w/org_other/reports",
		"fragment":   own + "/#/../../../../w/org_other/reports",
	} {
		status, seen := rawly(t, client, target, token)
		require.Equal(t, http.StatusNotFound, status, "%s: %s got through, and the service may read it as %s", rule, target, seen)
	}
}
