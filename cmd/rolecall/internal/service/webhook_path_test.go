package service_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestWebhooks_ComeByOnePathOnly: other spellings of the path, which proxies may read otherwise,
// take no signed delivery.
func TestWebhooks_ComeByOnePathOnly(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	_, _, _, messages := servicetest.Team(t, b)
	signer, err := svix.NewWebhook(b.Secret)
	require.NoError(t, err)
	deliver := func(path string) int {
		now := time.Now()
		signature, err := signer.Sign(messages[0].ID, now, messages[0].Body)
		require.NoError(t, err)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Web(path), strings.NewReader(string(messages[0].Body)))
		require.NoError(t, err)
		request.Header = http.Header{
			"Svix-Id": {messages[0].ID}, "Svix-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Svix-Signature": {signature},
		}
		response, err := b.Client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	for _, path := range []string{
		"/webhooks%2Fclerk", "/webhooks%2fclerk", "/%2Fwebhooks/clerk", "/webhooks%252Fclerk", "/webhooks/%2e/clerk", "/webhooks%5Cclerk",
		`/webhooks\clerk`, "//webhooks/clerk", "/webhooks//clerk", "/webhooks/clerk/", "/x/../webhooks/clerk", "/webhooks/%63lerk", "/Webhooks/clerk",
	} {
		require.Equal(t, http.StatusNotFound, deliver(path), path)
	}
	var known int
	require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.deliveries").Scan(&known))
	require.Zero(t, known)
	require.Equal(t, http.StatusOK, deliver("/webhooks/clerk"))
}
