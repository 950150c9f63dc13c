package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestProxies_DropWhatStrangersMayNotSay: the documented proxies pass on the id of a request, and
// no traceparent.
func TestProxies_DropWhatStrangersMayNotSay(t *testing.T) {
	t.Parallel()
	ask := func(t *testing.T, dial servicetest.Dialer, host string, headers <-chan http.Header) http.Header {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{
			DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }, DisableKeepAlives: true,
		}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+"/v1/authorize?secret=1", http.NoBody)
		require.NoError(t, err)
		r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		r.Header.Set("X-Request-Id", "asked-by-somebody")
		answer, err := client.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusOK, answer.StatusCode)
		return <-headers
	}
	t.Run("nginx", func(t *testing.T) {
		t.Parallel()
		addr, headers := listener(t)
		dial, log := servicetest.RunNginxOverTLS(t, map[string]string{"127.0.0.1:8080": addr, "127.0.0.2:8080": addr})
		got := ask(t, dial, "rolecall.example.com", headers)
		require.NotContains(t, got, "Traceparent")
		require.Equal(t, "asked-by-somebody", got.Get("X-Request-Id"))
		text, err := os.ReadFile(log)
		require.NoError(t, err)
		require.NotContains(t, string(text), "secret", "a query is logged")
	})
	t.Run("Caddy", func(t *testing.T) {
		t.Parallel()
		addr, headers := listener(t)
		_, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		dial := servicetest.RunCaddyOverTLS(t, port, addr)
		got := ask(t, dial, "rolecall", headers)
		require.NotContains(t, got, "Traceparent")
		require.Equal(t, "asked-by-somebody", got.Get("X-Request-Id"))
	})
}

// listener stands in the place of Rolecall, and tells what it is asked with.
func listener(t *testing.T) (addr string, headers <-chan http.Header) {
	t.Helper()
	asked := make(chan http.Header, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/authorize" {
			asked <- r.Header.Clone()
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), asked
}
