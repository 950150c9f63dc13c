package clerkapi_test

import (
	"log/slog"
	"math"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	valid := clerkapi.Config{SecretKey: secretKey, Logger: slog.New(slog.DiscardHandler)}
	for name, change := range map[string]func(*clerkapi.Config){
		"defaults":     func(*clerkapi.Config) {},
		"https":        func(c *clerkapi.Config) { c.URL = "https://clerk.callmine.test/v1/" },
		"this machine": func(c *clerkapi.Config) { c.URL = "http://127.0.0.1:8080/v1" },
		"localhost":    func(c *clerkapi.Config) { c.URL = "http://localhost:8080/v1" },
		"IPv6":         func(c *clerkapi.Config) { c.URL = "http://[::1]:8080/v1" },
	} {
		cfg := valid
		change(&cfg)
		client, err := clerkapi.New(cfg)
		require.NoError(t, err, name)
		client.Close()
	}
	for name, change := range map[string]func(*clerkapi.Config){
		"no key":            func(c *clerkapi.Config) { c.SecretKey = "" },
		"key with newline":  func(c *clerkapi.Config) { c.SecretKey += "\n" },
		"no logger":         func(c *clerkapi.Config) { c.Logger = nil },
		"plain http":        func(c *clerkapi.Config) { c.URL = "http://api.clerk.com/v1" },
		"looks like here":   func(c *clerkapi.Config) { c.URL = "http://127.0.0.1.callmine.test/v1" },
		"other scheme":      func(c *clerkapi.Config) { c.URL = "ftp://api.clerk.com/v1" },
		"relative":          func(c *clerkapi.Config) { c.URL = "/v1" },
		"password":          func(c *clerkapi.Config) { c.URL = "https://user:" + secretKey + "@api.clerk.com/v1" },
		"query":             func(c *clerkapi.Config) { c.URL = "https://api.clerk.com/v1?x=1" },
		"not a URL":         func(c *clerkapi.Config) { c.URL = "https://" + secretKey + "\x7f" },
		"negative budget":   func(c *clerkapi.Config) { c.CallsPerSecond = -1 },
		"budget of nothing": func(c *clerkapi.Config) { c.CallsPerSecond = math.NaN() },
		"endless budget":    func(c *clerkapi.Config) { c.CallsPerSecond = math.Inf(1) },
	} {
		cfg := valid
		change(&cfg)
		_, err := clerkapi.New(cfg)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), secretKey, name)
	}
}

type closer struct {
	http.RoundTripper

	closed bool
}

func (c *closer) CloseIdleConnections() { c.closed = true }

func TestClose_ClosesIdleConnections(t *testing.T) {
	t.Parallel()
	transport := &closer{}
	client := newClient(t, clerkapi.Config{Transport: transport})
	client.Close()
	require.True(t, transport.closed)
}
