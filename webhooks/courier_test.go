package webhooks_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
	clerksync "github.com/callmine/rolecall/sync"
	"github.com/callmine/rolecall/webhooks"
)

// TestHandler_TakesBothSecretsDuringARotation goes over real HTTP. It rotates secrets in two ways:
// two signatures in one request, and two endpoints with the same URL.
func TestHandler_TakesBothSecretsDuringARotation(t *testing.T) {
	t.Parallel()
	old, young := newSecret(1), newSecret(2)
	for name, secrets := range map[string][][]string{
		"both signatures": {{old, young}}, "two endpoints": {{old}, {young}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, known := range [][]string{{old, young}, {young, old}} {
				b := setup(t)
				results := deliver(t, b.handlerFor(t, known...), secrets)
				require.Equal(t, svixsim.Delivered, results[0].Outcome)
				require.Len(t, b.inbox.got, len(secrets))
				for _, d := range b.inbox.got {
					require.Equal(t, results[0].MessageID, d.ID)
					require.Equal(t, clerksync.UserCreated, d.Type)
					require.Equal(t, clerksync.StateReceived, d.State)
				}
			}
		})
	}
}

// handlerFor returns the bundle's handler with other secrets.
func (b *bundle) handlerFor(t *testing.T, secrets ...string) http.Handler {
	t.Helper()
	handler, err := webhooks.NewHandler(webhooks.Config{
		Verifier: newVerifier(t, secrets...), Inbox: b.inbox, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return handler
}

// deliver sends one event to several endpoints at the handler's URL. Each list of secrets makes an
// endpoint.
func deliver(t *testing.T, handler http.Handler, secrets [][]string) []svixsim.Result {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	world, err := clerksim.New(clerksim.Config{})
	require.NoError(t, err)
	_, err = world.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	endpoints := make([]svixsim.Endpoint, 0, len(secrets))
	for _, list := range secrets {
		endpoints = append(endpoints, svixsim.Endpoint{URL: server.URL, Secrets: list})
	}
	courier, err := svixsim.NewCourier(svixsim.CourierConfig{Endpoints: endpoints, Schedule: []time.Duration{0}})
	require.NoError(t, err)
	defer courier.Close()
	results, err := courier.Deliver(t.Context(), world.Drain(), svixsim.Faults{})
	require.NoError(t, err)
	return results
}
