package service_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// house is a whole service beside a simulated Clerk. Tests change it only by commands, session
// tokens, signed webhooks, and actions at Clerk itself.
type house struct {
	*servicetest.Bundle
	t       *testing.T
	answers []answer // all answers of [house.ask]
}

// person is an account at Clerk with one token that lasts throughout the test.
type person struct{ id, name, email, token, session string }

// answer is one answer of the service.
type answer struct {
	asked  string // the bearer's token
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

func openHouseOn(t *testing.T, databaseURL string, change func(*config.Config), more ...func(*servicetest.Bundle, *config.Config)) *house {
	t.Helper()
	changes := append([]func(*servicetest.Bundle, *config.Config){servicetest.AsksClerk, func(_ *servicetest.Bundle, cfg *config.Config) {
		if change != nil {
			change(cfg)
		}
	}}, more...)
	h := &house{t: t, Bundle: servicetest.Start(t, databaseURL, nil, config.Parts{Web: true, Workers: true}, changes...)}
	h.Open(t, databaseURL)
	return h
}

// restart replaces the service by one with another configuration.
func (h *house) restart(cfg config.Config) {
	h.t.Helper()
	h.Restart(h.t, cfg, config.Parts{Web: true, Workers: true})
}

// person makes an account at Clerk. The name has letters only.
func (h *house) person(name string) person {
	h.t.Helper()
	email := strings.ToLower(name) + "@callmine.test"
	user, err := h.Clerk.CreateUser(clerksim.NewUser{FirstName: name, LastName: "Of" + name, Emails: []string{email}})
	require.NoError(h.t, err)
	return person{id: user.ID, name: name, email: email, token: h.Token(h.t, user.ID)}
}

// ask sends a request as the bearer of a token, and checks the answer against openapi.yaml. Headers
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

// must sends a request that must be answered with the status.
func (h *house) must(status int, token, method, path, body string) answer {
	h.t.Helper()
	a := h.ask(token, method, path, body)
	require.Equal(h.t, status, a.status, "%s %s: %s", method, path, a.text)
	return a
}

// create makes a workspace by command and returns its id.
func (h *house) create(by person, name string) string {
	h.t.Helper()
	a := h.must(http.StatusCreated, by.token, http.MethodPost, "/v1/workspaces", `{"name":"`+name+`"}`)
	id, _ := a.body["workspace_id"].(string)
	require.NotEmpty(h.t, id)
	return id
}

// invite invites by command and returns the invitation's id.
func (h *house) invite(by person, workspace, email, role string) string {
	h.t.Helper()
	a := h.must(http.StatusCreated, by.token, http.MethodPost, at(workspace, "invitations"), `{"email":"`+email+`","role":"`+role+`"}`)
	id, _ := a.body["id"].(string)
	require.NotEmpty(h.t, id)
	return id
}

// join makes a person a member in the usual way: invited by command, accepted at Clerk, reported by
// webhooks.
func (h *house) join(by person, workspace string, guest person, role string) {
	h.t.Helper()
	_, err := h.Clerk.Accept(h.invite(by, workspace, guest.email, role), guest.id)
	require.NoError(h.t, err)
	h.deliverWebhooks()
}

// deliverWebhooks delivers the webhooks of all events at Clerk.
func (h *house) deliverWebhooks() {
	h.t.Helper()
	h.Send(h.t, h.Clerk.Drain()...)
}

// writes counts the calls that asked Clerk for a change.
func (h *house) writes() int {
	n := 0
	for name, calls := range h.Faults.Calls() {
		if !strings.HasPrefix(name, http.MethodGet) {
			n += calls
		}
	}
	return n
}

// at returns a path below a workspace.
func at(workspace string, rest ...string) string {
	return strings.Join(append([]string{"/v1/workspaces/" + workspace}, rest...), "/")
}

// entries returns a workspace's audit log from the API, the newest entry first, each as JSON.
func (h *house) entries(reader person, workspace string) []string {
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

// report records, as the product, that a person ran a report.
func (h *house) report(workspace string, author person, name string) {
	h.t.Helper()
	h.must(http.StatusCreated, h.ServiceToken, http.MethodPost, at(workspace, "audit"),
		`{"actor":"`+author.id+`","action":"report.run","target":"`+name+`","data":{"rows":12}}`)
}
