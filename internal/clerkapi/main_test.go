package clerkapi_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secretKey must not turn up in any error or log.
const secretKey = "sk_test_neverShowThisToAnybody"

// unbound is a rate of calls that no test uses up.
const unbound = 1e6

func newClient(t *testing.T, cfg clerkapi.Config) *clerkapi.Client {
	t.Helper()
	if cfg.SecretKey == "" {
		cfg.SecretKey = secretKey
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	client, err := clerkapi.New(cfg)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func newWorld(t *testing.T, cfg clerksim.Config) *clerksim.World {
	t.Helper()
	cfg.SecretKey = secretKey
	world, err := clerksim.New(cfg)
	require.NoError(t, err)
	return world
}

// serve returns a client of a handler over real HTTP.
func serve(t *testing.T, handler http.Handler) *clerkapi.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newClient(t, clerkapi.Config{URL: server.URL + "/v1", Transport: &http.Transport{}, CallsPerSecond: unbound})
}

// answering returns a client, over real HTTP, of a server that always answers the same.
func answering(t *testing.T, status int, body string) *clerkapi.Client {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
}

// wire answers requests in memory, so that a test can run in a synctest bubble. It records when
// they were sent.
type wire struct {
	answer func(n int, req *http.Request) (*http.Response, error) // n counts from 1

	mu   sync.Mutex
	sent []time.Time
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.sent = append(w.sent, time.Now())
	n := len(w.sent)
	w.mu.Unlock()
	return w.answer(n, req)
}

func (w *wire) times() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]time.Time(nil), w.sent...)
}

// reply makes a response; headers are name and value in turn.
func reply(status int, body string, headers ...string) *http.Response {
	recorder := httptest.NewRecorder()
	for i := 0; i < len(headers); i += 2 {
		recorder.Header().Set(headers[i], headers[i+1])
	}
	recorder.WriteHeader(status)
	_, _ = recorder.WriteString(body)
	return recorder.Result()
}

// The bodies that most tests answer with.
const (
	okInstance = `{"object":"instance","id":"ins_1","environment_type":"production"}`
	notFound   = `{"errors":[{"code":"resource_not_found","message":"not found"}],"clerk_trace_id":"trace_1"}`
	featureOff = `{"errors":[{"code":"organization_domains_not_enabled","message":"off"}],"clerk_trace_id":"trace_2"}`
	tooMany    = `{"errors":[{"code":"too_many_requests","message":"slow down"}]}`
)

// always answers every request the same.
func always(status int, body string, headers ...string) *wire {
	return &wire{answer: func(int, *http.Request) (*http.Response, error) { return reply(status, body, headers...), nil }}
}

// firstThen answers the first n requests with one function's answers and the others with a good
// instance.
func firstThen(n int, answer func() (*http.Response, error)) *wire {
	return &wire{answer: func(i int, _ *http.Request) (*http.Response, error) {
		if i <= n {
			return answer()
		}
		return reply(http.StatusOK, okInstance), nil
	}}
}

// hang never answers, until the caller gives up.
func hang(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

func idOf(t *testing.T, object json.RawMessage) string {
	t.Helper()
	var body struct {
		ID string `json:"id"`
	}
	require.NoError(t, json.Unmarshal(object, &body))
	return body.ID
}

func idsOf(t *testing.T, objects []json.RawMessage) []string {
	t.Helper()
	ids := []string{}
	for _, object := range objects {
		ids = append(ids, idOf(t, object))
	}
	return ids
}

func list(total string, objects ...string) string {
	return `{"data":[` + strings.Join(objects, ",") + `],"total_count":` + total + `}`
}
