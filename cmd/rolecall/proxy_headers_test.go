package main

import (
	"bufio"
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

// TestProxies_PassEventsOnAtOnce: the documented proxies hold no event of a stream back, and a
// consumer that goes away is gone for Rolecall, too. The headers are those of the change feed.
func TestProxies_PassEventsOnAtOnce(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/changes" {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no")
		_, _ = w.Write([]byte("event: heartbeat\n\n"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		gone <- struct{}{}
	}))
	t.Cleanup(server.Close)
	addr := server.Listener.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	nginx, _ := servicetest.RunNginxOverTLS(t, map[string]string{"127.0.0.1:8080": addr, "127.0.0.2:8080": addr})
	for host, dial := range map[string]servicetest.Dialer{
		"rolecall.example.com": nginx, "rolecall": servicetest.RunCaddyOverTLS(t, port, addr),
	} {
		ctx, leave := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/v1/changes", http.NoBody)
		require.NoError(t, err)
		client := &http.Client{Transport: &http.Transport{DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}}
		stream, err := client.Do(r)
		require.NoError(t, err)
		line, err := bufio.NewReader(stream.Body).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "event: heartbeat\n", line, "before the stream ends")
		leave()
		require.NoError(t, stream.Body.Close())
		<-gone
	}
}
