package clerksim_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/callmine/rolecall/internal/clerksim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sharedKeys are made once. There are two keys, because rotation needs a second one.
var sharedKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		key, err := clerksim.NewSigningKey()
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// clock is a world's clock that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.UnixMilli(1_790_000_000_000).UTC()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// newWorld makes a world on a clock that stands still until the test advances it.
func newWorld(t *testing.T, cfg clerksim.Config) (*clerksim.World, *clock) {
	t.Helper()
	c := newClock()
	if cfg.Now == nil {
		cfg.Now = c.Now
	}
	w, err := clerksim.New(cfg)
	require.NoError(t, err)
	return w, c
}

func createUser(t *testing.T, w *clerksim.World, params clerksim.NewUser) clerksim.User {
	t.Helper()
	u, err := w.CreateUser(params)
	require.NoError(t, err)
	return u
}

// createOrganization makes an organization whose admin is the user.
func createOrganization(t *testing.T, w *clerksim.World, creatorID string) clerksim.Organization {
	t.Helper()
	o, err := w.CreateOrganization(clerksim.NewOrganization{CreatedBy: creatorID})
	require.NoError(t, err)
	return o
}

// object is a decoded JSON object.
type object map[string]any

func (o object) at(t *testing.T, field string) object {
	t.Helper()
	require.Contains(t, o, field)
	inner, ok := o[field].(map[string]any)
	require.True(t, ok, "%s is %T", field, o[field])
	return inner
}

// decode keeps numbers as they were written.
func decode(t *testing.T, raw []byte) object {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var decoded object
	require.NoError(t, decoder.Decode(&decoded))
	return decoded
}

func number(t *testing.T, value any) int64 {
	t.Helper()
	n, ok := value.(json.Number)
	require.True(t, ok, "%v is %T", value, value)
	parsed, err := n.Int64()
	require.NoError(t, err)
	return parsed
}

func types(messages []clerksim.Message) []string {
	var all []string
	for _, m := range messages {
		all = append(all, m.Type)
	}
	return all
}

// inProcess sends requests into a handler instead of over a network, so that a test may run in a
// synctest bubble.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	p.handler.ServeHTTP(recorder, req)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

func marshal(t *testing.T, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	require.NoError(t, err)
	return raw
}
