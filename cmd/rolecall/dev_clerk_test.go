package main

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
)

// ownClerk is a simulated Clerk that stands for a real one, with a workspace of two.
type ownClerk struct {
	*clerksim.World

	calls                    *clerksim.APIFaults
	workspace, admin, member string
	env                      map[string]string
}

func newOwnClerk(t *testing.T, cfg clerksim.Config) *ownClerk {
	t.Helper()
	world, err := clerksim.New(cfg)
	require.NoError(t, err)
	c := &ownClerk{World: world, calls: clerksim.NewAPIFaults()}
	server, err := clerksim.Listen(t.Context(), "", world.Handler(c.calls.Middleware))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(context.WithoutCancel(t.Context()))) })
	b := &servicetest.Bundle{Clerk: world}
	c.workspace, c.admin, c.member, _ = servicetest.Team(t, b)
	c.env = map[string]string{
		"CLERK_SECRET_KEY": world.SecretKey(), "CLERK_API_URL": server.URL + "/v1", "CLERK_JWKS_URL": server.URL + "/.well-known/jwks.json",
		"ROLECALL_CLERK_RATE": "100",
		"DATABASE_URL":        "postgres://db.callmine.test/of-the-application", // which isn't touched
	}
	return c
}

// startOwn starts `dev --clerk`, waits until it is ready, and returns the address of its API.
func startOwn(t *testing.T, env map[string]string, data string) (*process, string) {
	t.Helper()
	p := startProcess(t, env, "dev", "--clerk", "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	require.Eventually(t, func() bool { return strings.Contains(p.out.String(), devReady) || !p.running() }, time.Minute, 10*time.Millisecond)
	text := p.out.String()
	require.Contains(t, text, devReady, p.log.String())
	require.LessOrEqual(t, rows(text), 12, text)
	api := regexp.MustCompile(`(?m)^API +(http://[\d.:]+) `).FindStringSubmatch(text)
	require.NotNil(t, api, text)
	return p, api[1]
}

// ask asks the API as a user.
func (c *ownClerk) ask(t *testing.T, userID, method, url, body string) (int, map[string]any) {
	t.Helper()
	token, err := c.SessionToken(userID, clerksim.TokenOptions{Lifetime: time.Hour})
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	b := &servicetest.Bundle{Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	return b.Do(t, request, token)
}

// TestDevClerk_MirrorsAndNeverWrites: the mirror of one's own instance is filled, commands are
// refused, webhooks need their secret, and Clerk sees nothing but GET requests. The next start has
// the mirror at once.
func TestDevClerk_MirrorsAndNeverWrites(t *testing.T) {
	t.Parallel()
	c, data := newOwnClerk(t, clerksim.Config{}), servicetest.DataFolder(t)
	invitation, err := c.Invite(c.workspace, c.admin, "guest@callmine.test", clerksim.RoleMember)
	require.NoError(t, err)
	c.Drain()

	p, api := startOwn(t, c.env, data)
	require.Contains(t, p.out.String(), "for session tokens of "+c.Issuer()+"\n", "as Clerk says")
	require.Contains(t, p.out.String(), c.InstanceID()+" (development)")
	require.Contains(t, p.out.String(), "by a sweep each minute; at once with webhooks: see docs/try.md")
	require.NotContains(t, p.out.String(), "real people")
	status, me := c.ask(t, c.admin, http.MethodGet, api+"/v1/me", "")
	require.Equal(t, http.StatusOK, status)
	require.Len(t, me["workspaces"], 1)
	at := api + "/v1/workspaces/" + c.workspace
	for _, command := range [][3]string{
		{http.MethodPost, api + "/v1/workspaces", `{"name":"North"}`},
		{http.MethodPatch, at, `{"name":"North"}`},
		{http.MethodPatch, at + "/members/" + c.member, `{"role":"admin"}`},
		{http.MethodDelete, at + "/members/" + c.member, ""},
		{http.MethodPost, at + "/invitations", `{"email":"robin@callmine.test","role":"member"}`},
		{http.MethodDelete, at + "/invitations/" + invitation.ID, ""},
	} {
		status, problem := c.ask(t, c.admin, command[0], command[1], command[2])
		require.Equal(t, http.StatusServiceUnavailable, status, "%v: %v", command, problem)
		require.Equal(t, "urn:rolecall:problem:commands-unavailable", problem["type"])
	}
	response, err := http.Post(api+"/webhooks/clerk", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "Clerk tries again later")
	p.signal(t, syscall.SIGINT)
	require.Equal(t, exitOK, p.exit(t, 20*time.Second), p.log.String())
	require.Contains(t, p.out.String(), "Stopping.\n")

	// With the signing secret, webhooks come through.
	require.NoError(t, c.RemoveMember(c.workspace, c.member))
	removal := c.Drain()
	_, err = c.AddMember(c.workspace, c.member, clerksim.RoleMember) // the sweep of the start finds nothing to remove
	require.NoError(t, err)
	c.Drain()
	c.env["CLERK_WEBHOOK_SIGNING_SECRET"] = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("secret", 5)))
	p, api = startOwn(t, c.env, data)
	require.NotContains(t, p.log.String(), "resource=", "it was filled before")
	require.Contains(t, p.out.String(), "by webhooks to /webhooks/clerk of the API, and a sweep each minute")
	status, _ = c.ask(t, c.admin, http.MethodGet, api+"/v1/me", "")
	require.Equal(t, http.StatusOK, status)
	courier, err := svixsim.NewCourier(svixsim.CourierConfig{
		Endpoints: []svixsim.Endpoint{{URL: api + "/webhooks/clerk", Secrets: []string{c.env["CLERK_WEBHOOK_SIGNING_SECRET"]}}},
	})
	require.NoError(t, err)
	t.Cleanup(courier.Close)
	for _, m := range removal {
		result, err := courier.Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, svixsim.Delivered, result.Outcome)
	}
	require.Eventually(t, func() bool { return strings.Contains(p.out.String(), "organizationMembership.deleted  ") }, 20*time.Second, 10*time.Millisecond, "the feed tells it")

	require.Empty(t, c.Drain(), "nothing was changed at Clerk")
	calls := c.calls.Calls()
	require.Contains(t, calls, "GET /organization_memberships")
	for call := range calls {
		require.True(t, strings.HasPrefix(call, "GET "), call)
	}
}

// TestDevClerk_KeepsMirrorsApart: the mirror of an instance is neither filled from another one nor
// emptied by dev, and an invented world isn't filled from Clerk.
func TestDevClerk_KeepsMirrorsApart(t *testing.T) {
	t.Parallel()
	first, second := newOwnClerk(t, clerksim.Config{Seed: 1}), newOwnClerk(t, clerksim.Config{Seed: 2})
	own, invented := servicetest.DataFolder(t), servicetest.DataFolder(t)
	p, _ := startOwn(t, first.env, own)
	p.signal(t, syscall.SIGINT)
	require.Equal(t, exitOK, p.exit(t, 20*time.Second), p.log.String())
	refused := func(env map[string]string, want string, args ...string) {
		t.Helper()
		p := startProcess(t, env, args...)
		require.Equal(t, exitError, p.exit(t, time.Minute), p.out.String())
		require.Contains(t, p.log.String(), want)
	}
	refused(second.env, "the mirror of the Clerk instance "+first.InstanceID()+", and CLERK_SECRET_KEY is of "+second.InstanceID(), "dev", "--clerk", "--data", own)
	refused(nil, "is the mirror of the Clerk instance "+first.InstanceID(), devAnywhere("--data", own)...)

	p = startProcess(t, map[string]string{"TMPDIR": t.TempDir()}, devAnywhere("--data", invented)...)
	require.Eventually(t, func() bool { return strings.Contains(p.out.String(), devReady) || !p.running() }, time.Minute, 10*time.Millisecond)
	p.signal(t, syscall.SIGINT)
	require.Equal(t, exitOK, p.exit(t, 20*time.Second), p.log.String())
	refused(first.env, "the mirror of the Clerk instance ins_dev", "dev", "--clerk", "--data", invented)
}

// TestDevClerk_SaysWhatIsMissing in one line: with 2 if a setting is, and with 1 if Clerk refuses.
func TestDevClerk_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := newOwnClerk(t, clerksim.Config{})
	key := func(host string) string { return base64.StdEncoding.EncodeToString([]byte(host + "$")) }
	for want, change := range map[string]struct {
		code int
		env  map[string]string
	}{
		"rolecall: CLERK_SECRET_KEY is missing: ":                                {exitUsage, map[string]string{"CLERK_SECRET_KEY": ""}},
		"rolecall: CLERK_SECRET_KEY: it is a publishable key":                    {exitUsage, map[string]string{"CLERK_SECRET_KEY": "pk_test_Y2xlcms"}},
		"rolecall: CLERK_SECRET_KEY isn't accepted by Clerk: ":                   {exitError, map[string]string{"CLERK_SECRET_KEY": "sk_test_another"}},
		"rolecall: NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY is no publishable key: ":    {exitUsage, map[string]string{"NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY": "pk_test_****"}},
		"rolecall: CLERK_PUBLISHABLE_KEY and CLERK_SECRET_KEY are of different ": {exitUsage, map[string]string{"CLERK_PUBLISHABLE_KEY": "pk_live_" + key("clerk.app.test")}},
		"rolecall: CLERK_ISSUER: ":                                               {exitUsage, map[string]string{"CLERK_ISSUER": "https://clerk.app.test/"}},
		"rolecall: CLERK_SECRET_KEY is of the instance " + c.InstanceID():        {exitUsage, map[string]string{"CLERK_INSTANCE_ID": "ins_other"}},
		"rolecall: reach Clerk at http://127.0.0.1:1/v1: ":                       {exitError, map[string]string{"CLERK_API_URL": "http://127.0.0.1:1/v1"}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{}
			for _, from := range []map[string]string{c.env, change.env} {
				maps.Copy(env, from)
			}
			p := startProcess(t, env, "dev", "--clerk", "--data", servicetest.DataFolder(t))
			require.Equal(t, change.code, p.exit(t, time.Minute), p.log.String())
			require.Contains(t, p.log.String(), want)
			require.Equal(t, 1, strings.Count(p.log.String(), "\n"), p.log.String())
			require.Empty(t, p.out.String())
		})
	}
	for _, flags := range [][]string{{"--plain"}, {"--seed", "7"}, {"--simulator", "127.0.0.1:0"}} {
		p := startProcess(t, c.env, append([]string{"dev", "--clerk"}, flags...)...)
		require.Equal(t, exitUsage, p.exit(t, time.Minute))
		require.Contains(t, p.log.String(), "--clerk and "+flags[0]+" can't be used together")
	}
}

// TestDevClerk_FollowsClerkWithoutWebhooks, by sweeps.
func TestDevClerk_FollowsClerkWithoutWebhooks(t *testing.T) {
	t.Parallel()
	c := newOwnClerk(t, clerksim.Config{})
	c.env["ROLECALL_SWEEP_INTERVAL"] = "1s"
	p, api := startOwn(t, c.env, servicetest.DataFolder(t))
	require.Contains(t, p.out.String(), "by a sweep every 1s")
	question := api + "/v1/authorize?permission=reports:read&workspace_id=" + c.workspace
	status, _ := c.ask(t, c.member, http.MethodGet, question, "")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, c.RemoveMember(c.workspace, c.member))
	require.Eventually(t, func() bool {
		status, _ := c.ask(t, c.member, http.MethodGet, question, "")
		return status == http.StatusNotFound
	}, 40*time.Second, 100*time.Millisecond)
	require.Eventually(t, func() bool {
		return regexp.MustCompile(`sweep_\d+  .* is no longer in .* +repaired`).MatchString(p.out.String())
	}, 20*time.Second, 10*time.Millisecond)
}

// TestDevClerk_SaysThatRealPeoplesDataAreCopied, where to, and how to get rid of them.
func TestDevClerk_SaysThatRealPeoplesDataAreCopied(t *testing.T) {
	t.Parallel()
	c, data := newOwnClerk(t, clerksim.Config{EnvironmentType: "production", SecretKey: "sk_live_1"}), servicetest.DataFolder(t)
	c.env["VITE_CLERK_PUBLISHABLE_KEY"] = "pk_live_" + base64.StdEncoding.EncodeToString([]byte("clerk.app.test$"))
	p, _ := startOwn(t, c.env, data)
	require.Contains(t, p.out.String(), "real people's data are copied to this machine, until you rm -r '"+data+"'\n", "also a folder with a blank")
	require.Contains(t, p.out.String(), "for session tokens of https://clerk.app.test\n", "as the publishable key says")
	require.Contains(t, p.out.String(), "(production)")
}

// TestDevClerk_FillsAllThatCanBeRead, says how much that is, and doesn't fill the mirror again at
// the next start.
func TestDevClerk_FillsAllThatCanBeRead(t *testing.T) {
	t.Parallel()
	c, data := newOwnClerk(t, clerksim.Config{}), servicetest.DataFolder(t)
	clerk := c.Handler()
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		clerk.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		body := answer.Body.String()
		if r.URL.Path == "/v1/organization_memberships" {
			body = strings.Replace(body, `"role":"org:member"`, `"role":7`, 1)
		}
		_, _ = w.Write([]byte(body)) // the caller may have hung up
	}))
	t.Cleanup(odd.Close)
	c.env["CLERK_API_URL"] = odd.URL + "/v1"
	for starts := range 2 {
		p, _ := startOwn(t, c.env, data)
		require.Equal(t, starts == 0, strings.Contains(p.log.String(), "Reading "+c.InstanceID()))
		require.Regexp(t, `Mirror +[1-9]\d* objects, as Clerk had them at 2`, p.out.String())
		p.signal(t, syscall.SIGINT)
		require.Equal(t, exitOK, p.exit(t, 20*time.Second), p.log.String())
	}
}
