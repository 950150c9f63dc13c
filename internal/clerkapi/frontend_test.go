package clerkapi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
)

// TestFrontendURL is that of the primary domain, or of the proxy before it.
func TestFrontendURL(t *testing.T) {
	t.Parallel()
	world := newWorld(t, clerksim.Config{Issuer: "https://clerk.callmine.test"})
	url, err := serve(t, world.Handler()).FrontendURL(t.Context())
	require.NoError(t, err)
	require.Equal(t, world.Issuer(), url)

	for body, want := range map[string]string{
		`{"data":[{"is_satellite":true,"frontend_api_url":"https://clerk.satellite.test"},{"is_satellite":false,"frontend_api_url":"https://clerk.app.test/"}]}`: "https://clerk.app.test",
		`{"data":[{"frontend_api_url":"https://clerk.app.test","proxy_url":"https://app.test/__clerk"}]}`:                                                        "https://app.test/__clerk",
	} {
		url, err := answering(t, http.StatusOK, body).FrontendURL(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, url)
	}
	for _, body := range []string{`{}`, `{"data":[]}`, `{"data":[{"is_satellite":true,"frontend_api_url":"https://a.test"}]}`, `{"data":[{}]}`} {
		_, err := answering(t, http.StatusOK, body).FrontendURL(t.Context())
		require.ErrorIs(t, err, clerkapi.ErrMalformed, body)
	}
}
