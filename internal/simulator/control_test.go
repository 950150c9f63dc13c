package simulator_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
)

// driver is the test of another service: it knows the control API, the Backend API and its own
// webhook endpoint, and nothing else.
type driver struct {
	url, key string
	receiver *receiver
}

func drive(t *testing.T) (*driver, map[string]any) {
	t.Helper()
	s := start(t, simulator.Config{})
	_, err := s.Populate()
	require.NoError(t, err)
	d := &driver{url: s.URL()}
	state := d.control(t, http.MethodGet, "/state", "")
	d.key = state["secret_key"].(string)
	d.receiver = newReceiver(t, state["webhook_secret"].(string))
	d.control(t, http.MethodPost, "/endpoints", `{"url":"`+d.receiver.URL+`"}`)
	d.settle(t)
	require.NotEmpty(t, d.receiver.take(t), "the first endpoint gets the past, too")
	return d, state
}

func (d *driver) control(t *testing.T, method, path, body string) map[string]any {
	t.Helper()
	status, answer := call(t, method, d.url+"/simulator"+path, body)
	require.Equal(t, http.StatusOK, status, answer)
	return answer
}

func (d *driver) settle(t *testing.T) {
	t.Helper()
	require.Equal(t, map[string]any{"settled": true, "waiting": 0.0}, d.control(t, http.MethodPost, "/webhooks/settle", `{"seconds":60}`))
}

// clerk calls the Backend API.
func (d *driver) clerk(t *testing.T, method, path, body string) (status int, answer map[string]any) {
	t.Helper()
	return call(t, method, d.url+"/v1"+path, body, "Authorization", "Bearer "+d.key)
}

// change makes one change at Clerk.
func (d *driver) change(t *testing.T) {
	t.Helper()
	status, answer := d.clerk(t, http.MethodPost, "/organizations", `{"name":"Another workspace"}`)
	require.Equal(t, http.StatusOK, status, answer)
}

// outcomes counts the webhooks by what became of them.
func (d *driver) outcomes(t *testing.T) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, webhook := range d.control(t, http.MethodGet, "/webhooks", "")["webhooks"].([]any) {
		found[webhook.(map[string]any)["outcome"].(string)]++
	}
	return found
}

// TestControl_BreaksWebhooksWhileEverythingRuns, seen from another service.
func TestControl_BreaksWebhooksWhileEverythingRuns(t *testing.T) {
	t.Parallel()
	d, _ := drive(t)
	before := d.outcomes(t)["delivered"]

	d.control(t, http.MethodPut, "/switches", `{"repeat":true}`)
	d.change(t)
	d.settle(t)
	got := d.receiver.take(t)
	require.Len(t, got, 3)
	require.Equal(t, []string{got[0], got[0], got[0]}, got)

	d.control(t, http.MethodPut, "/switches", `{"drop":true}`)
	d.change(t)
	d.control(t, http.MethodPut, "/switches", `{}`)
	d.settle(t)
	require.Empty(t, d.receiver.take(t))
	require.Equal(t, map[string]int{"delivered": before + 1, "dropped": 1}, d.outcomes(t))

	d.control(t, http.MethodPut, "/switches", `{"reorder":true}`)
	d.change(t)
	d.change(t)
	d.settle(t)
	got = d.receiver.take(t)
	newest := d.control(t, http.MethodGet, "/webhooks?type=organization.created", "")["webhooks"].([]any)
	sent := []string{}
	for _, webhook := range newest[:2] {
		sent = append(sent, webhook.(map[string]any)["message_id"].(string))
	}
	require.Equal(t, sent, got, "the newer one first")

	d.control(t, http.MethodPut, "/switches", `{"delay_ms":600000}`)
	d.change(t)
	require.Equal(t, map[string]any{"settled": false, "waiting": 1.0}, d.control(t, http.MethodPost, "/webhooks/settle", `{"seconds":0.05}`))
	require.Empty(t, d.receiver.take(t))
	d.control(t, http.MethodPut, "/switches", `{}`)
	d.settle(t)
	require.Len(t, d.receiver.take(t), 1, "it isn't held up any more")

	switches := d.control(t, http.MethodPut, "/switches", `{"endpoint_disabled":true}`)
	require.Equal(t, true, switches["endpoint_disabled"])
	d.change(t)
	d.settle(t)
	require.Equal(t, 1, d.outcomes(t)["disabled"])
	require.Equal(t, map[string]any{"delivered": 0.0, "missed": 1.0}, d.control(t, http.MethodPost, "/webhooks/recover", ""))
	d.control(t, http.MethodPut, "/switches", `{}`)
	d.settle(t)
	require.Empty(t, d.receiver.take(t), "what it missed stays missed")
	require.Equal(t, map[string]any{"delivered": 1.0, "missed": 0.0}, d.control(t, http.MethodPost, "/webhooks/recover", ""))
	require.Len(t, d.receiver.take(t), 1)
	require.Zero(t, d.outcomes(t)["disabled"])
}

// TestControl_TakesClerkDown, but not itself, nor the webhooks.
func TestControl_TakesClerkDown(t *testing.T) {
	t.Parallel()
	d, state := drive(t)
	d.control(t, http.MethodPut, "/switches", `{"clerk_down":true}`)
	for _, path := range []string{"/v1/users", "/.well-known/jwks.json"} {
		status, _ := call(t, http.MethodGet, d.url+path, "", "Authorization", "Bearer "+d.key)
		require.Equal(t, http.StatusServiceUnavailable, status, path)
	}
	require.Equal(t, true, d.control(t, http.MethodGet, "/switches", "")["clerk_down"])
	user := state["cast"].(map[string]any)["people"].([]any)[0].(map[string]any)["user_id"].(string)
	d.control(t, http.MethodPost, "/users/"+user+"/deprovision", "")
	d.settle(t)
	require.Len(t, d.receiver.take(t), 1)
	d.control(t, http.MethodPut, "/switches", `{"clerk_down":true}`)
	require.Equal(t, false, d.control(t, http.MethodPut, "/switches", `{}`)["clerk_down"])
	status, _ := call(t, http.MethodGet, d.url+"/.well-known/jwks.json", "")
	require.Equal(t, http.StatusOK, status)
}

// TestControl_DoesWhatTheBackendAPICant: what people and the dashboard do at Clerk.
func TestControl_DoesWhatTheBackendAPICant(t *testing.T) {
	t.Parallel()
	d, state := drive(t)
	mail := d.control(t, http.MethodGet, "/mail?to=iris@callmine.test", "")["mail"].([]any)[0].(map[string]any)
	require.Equal(t, "Ada Berg invited you to Northwind Sales", mail["subject"])
	require.Equal(t, "pending", mail["state"])
	member := d.control(t, http.MethodPost, "/invitations/accept",
		`{"ticket":"`+mail["ticket"].(string)+`","first_name":"Iris","last_name":"Moor"}`)
	require.Equal(t, mail["organization_id"], member["organization_id"])
	require.Equal(t, clerksim.RoleMember, member["role"])
	mail = d.control(t, http.MethodGet, "/mail?to=IRIS@callmine.test", "")["mail"].([]any)[0].(map[string]any)
	require.Equal(t, "accepted", mail["state"])
	require.Equal(t, member["user_id"], mail["user_id"])

	userID := member["user_id"].(string)
	d.settle(t)
	d.receiver.take(t)
	role := d.control(t, http.MethodPost, "/roles", `{"key":"org:auditor","permissions":["org:sys_memberships:read","org:audit:read"]}`)
	require.Contains(t, role["id"], "role_")
	d.control(t, http.MethodPost, "/users/"+userID+"/deprovision", "{}")
	d.control(t, http.MethodPost, "/users/"+userID+"/restore", "")
	_, session := d.clerk(t, http.MethodPost, "/sessions", `{"user_id":"`+userID+`"}`)
	sessionID := session["id"].(string)
	require.Equal(t, sessionID, claims(t, d.control(t, http.MethodPost, "/tokens", `{"session_id":"`+sessionID+`"}`))["sid"])
	d.control(t, http.MethodPost, "/sessions/"+sessionID+"/end", "")
	d.control(t, http.MethodPost, "/events", `{"type":"waitlistEntry.created","object_id":"wait_1","data":{"id":"wait_1"}}`)
	d.settle(t)
	types := []string{}
	for _, webhook := range d.control(t, http.MethodGet, "/webhooks", "")["webhooks"].([]any)[:7] {
		types = append(types, webhook.(map[string]any)["type"].(string))
	}
	slices.Reverse(types)
	require.Equal(t, []string{
		"permission.created", "role.created", "user.updated", "user.updated", "session.created", "session.ended", "waitlistEntry.created",
	}, types)
	require.Len(t, d.receiver.take(t), 7)

	_, keys := call(t, http.MethodGet, d.url+"/.well-known/jwks.json", "")
	d.control(t, http.MethodPost, "/keys/rotate", `{"keep_old":true}`)
	_, rotated := call(t, http.MethodGet, d.url+"/.well-known/jwks.json", "")
	require.Len(t, rotated["keys"], len(keys["keys"].([]any))+1)
	require.NotEmpty(t, state["cast"].(map[string]any)["workspaces"])
}

func claims(t *testing.T, answer map[string]any) (found map[string]any) {
	t.Helper()
	parts := strings.Split(answer["token"].(string), ".")
	require.Len(t, parts, 3)
	require.NoError(t, json.Unmarshal(decode64(t, parts[1]), &found))
	return found
}

func TestControl_MakesTokens(t *testing.T) {
	t.Parallel()
	d, state := drive(t)
	cast := state["cast"].(map[string]any)
	user := cast["people"].([]any)[0].(map[string]any)["user_id"].(string)
	workspace := cast["workspaces"].([]any)[0].(map[string]any)["id"].(string)
	found := claims(t, d.control(t, http.MethodPost, "/tokens", `{"user_id":"`+user+`"}`))
	require.Equal(t, user, found["sub"])
	require.Equal(t, state["issuer"], found["iss"])
	require.InDelta(t, 60, found["exp"].(float64)-found["iat"].(float64), 0)
	found = claims(t, d.control(t, http.MethodPost, "/tokens", `{"user_id":"`+user+`","organization_id":"`+workspace+`","seconds":-5}`))
	require.Equal(t, workspace, found["o"].(map[string]any)["id"])
	require.InDelta(t, -5, found["exp"].(float64)-found["iat"].(float64), 0, "expired")
	require.NotContains(t, found, "act")

	status, _ := d.clerk(t, http.MethodDelete, "/users/"+user, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, user, claims(t, d.control(t, http.MethodPost, "/tokens", `{"user_id":"`+user+`"}`))["sub"], "a token outlives its user")
}

// TestControl_RefusesWhatItCantRead, with a sentence, and changes nothing.
func TestControl_RefusesWhatItCantRead(t *testing.T) {
	t.Parallel()
	d, _ := drive(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"PUT", "/switches", `{"dorp":true}`, 400, `unknown field \"dorp\"`},
		{"PUT", "/switches", `{"delay_ms":-1}`, 400, "delay_ms is -1: want 0 to 600000"},
		{"PUT", "/switches", `{"delay_ms":600001}`, 400, "want 0 to 600000"},
		{"PUT", "/switches", `{"delay_ms":"5s"}`, 400, "isn't the JSON object that this path takes"},
		{"PUT", "/switches", `{} {}`, 400, "something follows"},
		{"PUT", "/switches", `[]`, 400, "isn't the JSON object"},
		{"GET", "/webhooks?typ=x", "", 400, "unknown parameter typ"},
		{"GET", "/webhooks?outcome=lost", "", 400, `unknown outcome \"lost\"`},
		{"GET", "/mail?to=a&to=b", "", 400, "there twice"},
		{"GET", "/nothing", "", 404, "has no path /simulator/nothing"},
		{"DELETE", "/switches", "", 405, "no method DELETE"},
		{"POST", "/tokens", `{}`, 400, "either a user_id or a session_id"},
		{"POST", "/tokens", `{"user_id":"user_nobody"}`, 404, "there never was a user user_nobody"},
		{"POST", "/tokens", `{"session_id":"sess_none"}`, 404, "no session sess_none"},
		{"POST", "/tokens", `{"session_id":"sess_none","organization_id":"org_1"}`, 400, "leave organization_id out"},
		{"POST", "/tokens", `{"user_id":"user_nobody","seconds":0}`, 400, "seconds is 0"},
		{"POST", "/endpoints", `{"url":"receiver"}`, 400, "invalid URL"},
		{"POST", "/endpoints", `{"url":"http://127.0.0.1:1","secret":"whsec_"}`, 400, "secret"},
		{"POST", "/invitations/accept", `{"ticket":"x"}`, 404, "no invitation has this ticket"},
		{"POST", "/invitations/accept", `{"ticket":"x","user_id":"user_1"}`, 400, "want a ticket, or"},
		{"POST", "/invitations/accept", `{"invitation_id":"orginv_1"}`, 400, "want a ticket, or"},
		{"POST", "/users/user_1/restore", "", 404, "no user user_1"},
		{"POST", "/sessions/sess_1/end", "", 404, "no session sess_1"},
		{"POST", "/roles", `{"key":"auditor"}`, 422, "a role's key must match"},
		{"POST", "/events", `{"type":"x","data":1}`, 400, "data that is a JSON object"},
		{"POST", "/webhooks/settle", `{"seconds":301}`, 400, "at most 300"},
	} {
		status, answer := call(t, c.method, d.url+"/simulator"+c.path, c.body)
		require.Equal(t, c.status, status, c.path+c.body)
		text, err := json.Marshal(answer)
		require.NoError(t, err)
		require.Contains(t, string(text), c.says)
		require.Equal(t, []string{"error"}, slices.Collect(keysOf(answer)))
	}
	d.settle(t)
	require.Empty(t, d.receiver.take(t))
}

// TestControl_IsForNoWebPage that a developer visits.
func TestControl_IsForNoWebPage(t *testing.T) {
	t.Parallel()
	s := start(t, simulator.Config{Hosts: []string{"clerk"}})
	for host, want := range map[string]int{
		"rebound.example.com": 421, "127.0.0.1.example.com": 421, "localhost.example.com:80": 421,
		"localhost:8081": 200, "127.0.0.1": 200, "[::1]:8081": 200, "192.0.2.1:8081": 200, "clerk:8081": 200,
	} {
		status, _ := call(t, http.MethodGet, s.URL()+"/simulator/state", "", "Host", host)
		require.Equal(t, want, status, host)
		status, _ = call(t, http.MethodGet, s.URL()+"/.well-known/jwks.json", "", "Host", host)
		require.Equal(t, want, status, host)
	}
	req := func(header, value string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/simulator/webhooks/recover", http.NoBody)
		require.NoError(t, err)
		request.Header.Set(header, value)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	require.Equal(t, http.StatusForbidden, req("Sec-Fetch-Site", "cross-site"))
	require.Equal(t, http.StatusForbidden, req("Origin", "https://elsewhere.example.com"))
	require.Equal(t, http.StatusOK, req("Sec-Fetch-Site", "same-origin"))
}
