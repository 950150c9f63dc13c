package service_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
)

// house is a whole service that changes things at a simulated Clerk: everything in it happens by
// commands, session tokens, signed webhooks, and what people do at Clerk itself.
type house struct {
	*servicetest.Bundle
	t       *testing.T
	faults  *clerksim.APIFaults
	answers []answer // all that [house.ask] has got
}

// somebody has an account, and one token that they keep throughout.
type somebody struct{ id, name, email, token string }

// answer is one answer of the service.
type answer struct {
	asked  string // as whose bearer
	status int
	header http.Header
	text   string
	body   map[string]any // of JSON
}

// openHouse starts a service on a database of its own; its configuration can be changed.
func openHouse(t *testing.T, change func(*config.Config)) *house {
	t.Helper()
	return openHouseOn(t, pgtest.URL(t), change)
}

func openHouseOn(t *testing.T, databaseURL string, change func(*config.Config)) *house {
	t.Helper()
	h := &house{Bundle: servicetest.Start(t, databaseURL, nil, config.Parts{Web: true, Workers: true}), t: t, faults: clerksim.NewAPIFaults()}
	server, err := clerksim.Listen(t.Context(), "", h.Clerk.Handler(h.faults.Middleware))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(context.WithoutCancel(t.Context()))) })
	cfg := h.Config // its end is what startBundle sees to, and with it that of whatever takes its place
	cfg.SecretKey, cfg.APIURL, cfg.ClerkRate = h.Clerk.SecretKey(), server.URL+"/v1", 1000
	if change != nil {
		change(&cfg)
	}
	h.restart(cfg)
	h.Open(t, databaseURL)
	return h
}

// restart puts another process in the place of the service's.
func (h *house) restart(cfg config.Config) {
	h.t.Helper()
	require.NoError(h.t, h.Service.Stop(h.t.Context()))
	h.Config = cfg
	restarted, err := service.Start(h.t.Context(), cfg, config.Parts{Web: true, Workers: true}, h.Logger)
	require.NoError(h.t, err)
	h.Service = restarted
	endpoint := svixsim.Endpoint{URL: h.Web("/webhooks/clerk"), Secrets: []string{h.Secret}}
	h.Courier, err = svixsim.NewCourier(svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{endpoint}})
	require.NoError(h.t, err)
	h.t.Cleanup(h.Courier.Close)
}

// person makes an account at Clerk. The name has letters only.
func (h *house) person(name string) somebody {
	h.t.Helper()
	email := strings.ToLower(name) + "@callmine.test"
	user, err := h.Clerk.CreateUser(clerksim.NewUser{FirstName: name, LastName: "Of" + name, Emails: []string{email}})
	require.NoError(h.t, err)
	return somebody{id: user.ID, name: name, email: email, token: h.Token(h.t, user.ID)}
}

// ask sends a request as the bearer of a token, and holds the answer against the document. Headers
// are pairs of a name and a value.
func (h *house) ask(token, method, path, body string, headers ...string) answer {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, h.Web(path), strings.NewReader(body))
	require.NoError(h.t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := h.Client.Do(request)
	require.NoError(h.t, err)
	defer func() { require.NoError(h.t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(h.t, err)
	a := answer{asked: token, status: response.StatusCode, header: response.Header, text: string(text)}
	if kind := response.Header.Get("Content-Type"); kind == "application/json" || kind == "application/problem+json" {
		require.NoError(h.t, json.Unmarshal(text, &a.body), a.text)
	}
	h.answers = append(h.answers, a)
	require.NoError(h.t, beyondTheDocument(h.t.Context(), request, a), "%s %s: %d %s", method, path, a.status, a.text)
	return a
}

// must sends a request that is answered with a status.
func (h *house) must(status int, token, method, path, body string) answer {
	h.t.Helper()
	a := h.ask(token, method, path, body)
	require.Equal(h.t, status, a.status, "%s %s: %s", method, path, a.text)
	return a
}

// create makes a workspace by command and returns its id.
func (h *house) create(by somebody, name string) string {
	h.t.Helper()
	a := h.must(http.StatusCreated, by.token, http.MethodPost, "/v1/workspaces", `{"name":"`+name+`"}`)
	id, _ := a.body["workspace_id"].(string)
	require.NotEmpty(h.t, id)
	return id
}

// invite invites by command and returns the invitation's id.
func (h *house) invite(by somebody, workspace, email, role string) string {
	h.t.Helper()
	a := h.must(http.StatusCreated, by.token, http.MethodPost, at(workspace, "invitations"), `{"email":"`+email+`","role":"`+role+`"}`)
	id, _ := a.body["id"].(string)
	require.NotEmpty(h.t, id)
	return id
}

// join makes somebody a member as it is meant: invited by command, accepted at Clerk, told by
// webhooks.
func (h *house) join(by somebody, workspace string, guest somebody, role string) {
	h.t.Helper()
	_, err := h.Clerk.Accept(h.invite(by, workspace, guest.email, role), guest.id)
	require.NoError(h.t, err)
	h.told()
}

// told delivers the webhooks of everything that has happened at Clerk.
func (h *house) told() {
	h.t.Helper()
	h.Send(h.t, h.Clerk.Drain()...)
}

// writes counts the calls by which Clerk was asked to change something.
func (h *house) writes() int {
	n := 0
	for name, calls := range h.faults.Calls() {
		if !strings.HasPrefix(name, http.MethodGet) {
			n += calls
		}
	}
	return n
}

// at is the path of something in a workspace.
func at(workspace string, rest ...string) string {
	return strings.Join(append([]string{"/v1/workspaces/" + workspace}, rest...), "/")
}

// entries returns a workspace's audit log as the API tells it, the newest first, each as its JSON
// text.
func (h *house) entries(reader somebody, workspace string) []string {
	h.t.Helper()
	a := h.must(http.StatusOK, reader.token, http.MethodGet, at(workspace, "audit?limit=200"), "")
	var page struct {
		Data []json.RawMessage `json:"data"`
	}
	require.NoError(h.t, json.Unmarshal([]byte(a.text), &page))
	texts := make([]string, len(page.Data))
	for i, entry := range page.Data {
		texts[i] = string(entry)
	}
	return texts
}

// requireEntry requires exactly one entry of an action by an actor about a target.
func (h *house) requireEntry(entries []string, actor, action, target string) {
	h.t.Helper()
	found := 0
	for _, text := range entries {
		var entry struct {
			Actor  string `json:"actor"`
			Action string `json:"action"`
			Target string `json:"target"`
		}
		require.NoError(h.t, json.Unmarshal([]byte(text), &entry))
		if entry.Actor == actor && entry.Action == action && entry.Target == target {
			found++
		}
	}
	require.Equal(h.t, 1, found, "%s by %s about %s in %s", action, actor, target, entries)
}

// report records as the product that somebody ran a report.
func (h *house) report(workspace string, author somebody, name string) {
	h.t.Helper()
	h.must(http.StatusCreated, h.ServiceToken, http.MethodPost, at(workspace, "audit"),
		`{"actor":"`+author.id+`","action":"report.run","target":"`+name+`","data":{"rows":12}}`)
}
