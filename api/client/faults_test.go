package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/client"
)

// faults is testdata/faults.json, which explains itself. The TypeScript client reads it, too.
type faults struct {
	About   []string        `json:"about"`
	Admits  json.RawMessage `json:"admits"`
	Faults  []fault         `json:"faults"`
	NoToken [][]string      `json:"no_token"`
}

type fault struct {
	Name     string        `json:"name"`
	Answers  []faultAnswer `json:"answers"`
	Timeout  int           `json:"timeout"`
	Retries  int           `json:"retries"`
	Own      int           `json:"own"`
	Service  int           `json:"service"`
	Reported bool          `json:"reported"`
	Asked    int64         `json:"asked"`
}

type faultAnswer struct {
	Status   int             `json:"status"`
	Body     string          `json:"body"`
	JSON     json.RawMessage `json:"json"`
	Decision json.RawMessage `json:"decision"`
	Admits   bool            `json:"admits"`
	Problem  json.RawMessage `json:"problem"`
	Pad      int             `json:"pad"`
	Location bool            `json:"location"`
	Close    bool            `json:"close"`
	Hang     bool            `json:"hang"`
	Cut      bool            `json:"cut"`
}

func readFaults(t *testing.T) faults {
	t.Helper()
	file, err := os.Open("testdata/faults.json")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields() // a misspelt member would test nothing
	var all faults
	require.NoError(t, decoder.Decode(&all))
	require.NotEmpty(t, all.Faults)
	require.NotEmpty(t, all.NoToken)
	return all
}

// TestClient_FailsClosed: only the decision that was asked for admits, and only Rolecall's own
// refusal is one.
func TestClient_FailsClosed(t *testing.T) {
	t.Parallel()
	all := readFaults(t)
	for _, f := range all.Faults {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			own, service := statusOr503(f.Own), statusOr503(f.Service)

			f.serve(t, all, func(c *client.Client) {
				d, err := c.Authorize(t.Context(), client.Check{UserID: "user_1", WorkspaceID: "org_1", Permission: "reports:read"})
				require.Equal(t, service == http.StatusOK, d.Allowed)
				if d.Reason != "stale" { // Authorize returns it as the decision that it is
					require.Equal(t, service == http.StatusServiceUnavailable, err != nil, "%v", err)
				}
			}, nil)
			f.serve(t, all, func(c *client.Client) {
				answer, seen := ask(t, c.Require("reports:read", always("org_1")), "Authorization", "Bearer user_1")
				requireStatus(t, own, answer, seen)
			}, &own)
			f.serve(t, all, func(c *client.Client) {
				answer, seen := ask(t, c.RequireFor("reports:read", always("org_1"), always("user_1")))
				requireStatus(t, service, answer, seen)
			}, &service)
		})
	}
}

func statusOr503(status int) int {
	if status == 0 {
		return http.StatusServiceUnavailable
	}
	return status
}

func requireStatus(t *testing.T, status int, answer *httptest.ResponseRecorder, seen *client.Decision) {
	t.Helper()
	if status == http.StatusOK {
		require.NotNil(t, seen, "%d %s", answer.Code, answer.Body)
		return
	}
	requireRefused(t, status, answer, seen)
}

// patience lets a busy machine answer. Only the faults with a time-out need to run into it.
const patience = time.Minute

// serve lets a client ask a server with the fault. If the middleware answers, Failed is called for
// a 503 and what the table says, and for nothing else.
func (f fault) serve(t *testing.T, all faults, question func(*client.Client), middleware *int) {
	t.Helper()
	elsewhere, followed := fake(t, func(w http.ResponseWriter, r *http.Request) { faultAnswer{Admits: true}.write(w, r, all, "") })
	var served atomic.Int64
	url, asked := fake(t, func(w http.ResponseWriter, r *http.Request) {
		turn := min(served.Add(1), int64(len(f.Answers))) - 1
		f.Answers[turn].write(w, r, all, elsewhere)
	})
	if len(f.Answers) == 0 {
		url = deadURL
	}
	var failed atomic.Int64
	question(newClient(t, url, func(cfg *client.Config) {
		cfg.Timeout, cfg.Retries = patience, f.Retries
		if f.Timeout > 0 {
			cfg.Timeout = time.Duration(f.Timeout) * time.Millisecond
		}
		cfg.Failed = func(_ *http.Request, err error) {
			if err != nil {
				failed.Add(1)
			}
		}
	}))
	require.Zero(t, followed.Load(), "a redirect is followed")
	if f.Asked > 0 {
		require.Equal(t, f.Asked, asked.Load(), "requests")
	}
	if middleware != nil {
		reported := f.Reported || *middleware == http.StatusServiceUnavailable
		require.Equal(t, reported, failed.Load() == 1)
	}
}

// write answers as the table says.
func (a faultAnswer) write(w http.ResponseWriter, r *http.Request, all faults, elsewhere string) {
	if a.Close {
		panic(http.ErrAbortHandler)
	}
	body := a.body(r, all.Admits) + strings.Repeat(" ", a.Pad)
	if a.Location {
		w.Header().Set("Location", elsewhere)
	}
	if a.Problem != nil {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	if a.Hang && body == "" {
		<-r.Context().Done()
		return
	}
	if a.Hang || a.Cut {
		w.Header().Set("Content-Length", "100000")
	}
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	_, _ = io.WriteString(w, body)
	if a.Hang || a.Cut {
		_ = http.NewResponseController(w).Flush()
	}
	if a.Hang {
		<-r.Context().Done()
	}
	if a.Cut {
		panic(http.ErrAbortHandler)
	}
}

func (a faultAnswer) body(r *http.Request, admits json.RawMessage) string {
	decision := a.Decision
	if a.Admits {
		decision = admits
	}
	switch {
	case decision != nil && r.Method == http.MethodPost:
		return `{"decisions":[` + string(decision) + `]}`
	case decision != nil:
		return string(decision)
	case a.JSON != nil:
		return string(a.JSON)
	case a.Problem != nil:
		return string(a.Problem)
	default:
		return a.Body
	}
}

// fake is a server in Rolecall's place, which counts the requests.
func fake(t *testing.T, serve http.HandlerFunc) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		serve(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// deadURL is an address at which nothing listens.
const deadURL = "http://127.0.0.1:1"

func TestClient_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	url, _ := fake(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := newClient(t, url, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Authorize(ctx, client.Check{UserID: "user_1", WorkspaceID: "org_1", Permission: "reports:read"})
	require.ErrorIs(t, err, context.Canceled)
}

// TestRequireFor_RefusedServiceIsAnOutage: Rolecall's refusal of the service says nothing about the
// user. With a revoked service token, users must not get a 401; with a wrong address, they must not
// get a 404. Failed gets the error.
func TestRequireFor_RefusedServiceIsAnOutage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for what, change := range map[string]func(*client.Config){
		"a token of before": func(cfg *client.Config) { cfg.ServiceToken = "rcs_rotated" },
		"another path":      func(cfg *client.Config) { cfg.URL += "/elsewhere" },
	} {
		var failed []error
		c := newClient(t, b.url, func(cfg *client.Config) {
			cfg.Failed = func(_ *http.Request, err error) { failed = append(failed, err) }
			change(cfg)
		})
		answer, seen := ask(t, c.RequireFor("reports:read", always("org_1"), always("user_member")))
		requireRefused(t, http.StatusServiceUnavailable, answer, seen)
		require.Len(t, failed, 1, what)
		var refused *client.Error
		require.ErrorAs(t, failed[0], &refused, "Rolecall's own answer")
	}
}

// TestRequire_TellsAnEndedSession: the sender must sign in again. A decision names the
// impersonator.
func TestRequire_TellsAnEndedSession(t *testing.T) {
	t.Parallel()
	url, _ := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"type":"urn:rolecall:problem:session-ended","title":"x","status":401}`)
	})
	c := newClient(t, url, func(cfg *client.Config) {
		cfg.Failed = func(_ *http.Request, err error) { t.Errorf("reported as an outage: %v", err) }
	})
	answer, seen := ask(t, c.Require("reports:read", always("org_1")), "Authorization", "Bearer user_1")
	requireRefused(t, http.StatusUnauthorized, answer, seen)
	require.Contains(t, answer.Body.String(), "urn:rolecall:problem:session-ended")

	url, _ = fake(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"allowed":true,"reason":"allowed","role":"org:admin","permission":"reports:read","workspace_id":"org_1",`+
			`"user_id":"user_1","impersonator":"user_2","revision":1,"as_of":null}`)
	})
	var impersonator string
	handler := newClient(t, url, nil).Require("reports:read", always("org_1"))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		d, _ := client.FromContext(r.Context())
		impersonator = d.Impersonator
	}))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	request.Header.Set("Authorization", "Bearer user_1")
	handler.ServeHTTP(httptest.NewRecorder(), request)
	require.Equal(t, "user_2", impersonator)
}
