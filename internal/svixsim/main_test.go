package svixsim_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/callmine/rolecall/internal/clerksim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newWorld makes a world on a clock that stands still.
func newWorld(t *testing.T) *clerksim.World {
	t.Helper()
	w, err := clerksim.New(clerksim.Config{Now: func() time.Time { return time.UnixMilli(1_790_000_000_000).UTC() }})
	require.NoError(t, err)
	return w
}

func createUser(t *testing.T, w *clerksim.World) clerksim.User {
	t.Helper()
	u, err := w.CreateUser(clerksim.NewUser{})
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
