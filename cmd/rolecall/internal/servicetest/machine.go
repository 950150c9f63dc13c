package servicetest

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// Atoi reads a number.
func Atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

// DataFolder is a temporary folder that any account can enter, which those of testing.T aren't: as
// root, Postgres runs as another one.
func DataFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rolecall-test-") //nolint:usetesting // see above
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "postgres")
}

// Fetch returns the status and the text of a page. Without an answer, it returns 0 and the reason.
func Fetch(ctx context.Context, client *http.Client, url string) (status int, text string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

// FreeAddr returns a free address of this machine. Its port is below those that the system assigns,
// so that it stays free.
func FreeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := "127.0.0.1:" + strconv.Itoa(10_000+rand.IntN(20_000))
		if listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr); err == nil {
			require.NoError(t, listener.Close())
			return addr
		}
	}
	require.Fail(t, "no address is free")
	return ""
}

// AppRole creates a role that owns only the schema, and returns its URL.
func AppRole(t *testing.T, c *pgtest.Cluster, options string) string {
	t.Helper()
	c.Exec("", "CREATE ROLE app LOGIN PASSWORD 'secret' "+options, "CREATE DATABASE rolecall ENCODING 'UTF8' TEMPLATE template0")
	c.Exec("rolecall", "CREATE SCHEMA rolecall AUTHORIZATION app")
	u, err := url.Parse(c.URL("rolecall"))
	require.NoError(t, err)
	u.User = url.UserPassword("app", "secret")
	return u.String()
}

// InRepository returns the path of a file that is named from the root of the module.
func InRepository(t testing.TB, name string) string {
	t.Helper()
	root, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return filepath.Join(root, filepath.FromSlash(name))
		}
		above := filepath.Dir(root)
		require.NotEqual(t, root, above, "no go.mod above the working directory")
		root = above
	}
}
