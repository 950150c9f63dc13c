package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"
	"go.uber.org/goleak"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
	"github.com/callmine/rolecall/internal/svixsim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// anyKey is for tests that don't care whether the signing key follows from the seed, which takes
// half a second.
var anyKey = sync.OnceValues(clerksim.NewSigningKey)

// start starts a simulator, and stops it at the test's end. Without a seed it has any signing key.
func start(t *testing.T, cfg simulator.Config) *simulator.Simulator {
	t.Helper()
	if cfg.Seed == 0 {
		key, err := anyKey()
		require.NoError(t, err)
		cfg.World.SigningKey = key
	}
	s, err := simulator.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, s.Close(context.WithoutCancel(t.Context())))
	})
	return s
}

// receiver is another service's webhook endpoint. It verifies signatures with Svix's own library.
type receiver struct {
	*httptest.Server

	mu     sync.Mutex
	status int
	got    []string // the ids of verified messages, in the order of their arrival
	forged int
}

func newReceiver(t *testing.T, secret string) *receiver {
	t.Helper()
	verifier, err := svix.NewWebhook(secret)
	require.NoError(t, err)
	r := &receiver{status: http.StatusNoContent}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		if verifier.Verify(body, req.Header) != nil {
			r.forged++
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.got = append(r.got, req.Header.Get("svix-id"))
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) endpoint() svixsim.Endpoint { return svixsim.Endpoint{URL: r.URL} }

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// take returns what arrived since the last call.
func (r *receiver) take(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Zero(t, r.forged)
	got := r.got
	r.got = nil
	return got
}

// call makes a request with a JSON body, or none, and reads the answer into a map.
func call(t *testing.T, method, url, body string, header ...string) (status int, answer map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	response, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &answer), string(text))
	return response.StatusCode, answer
}
