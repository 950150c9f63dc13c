package demo

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
)

// anywhere are options of a demo that gets in the way of no other.
func anywhere(databaseURL string) Options {
	return Options{Listen: anyAddress, Admin: anyAddress, Playground: anyAddress, Simulator: anyAddress, Seed: 1, DatabaseURL: databaseURL}
}

// start starts a demo, which is closed at the test's end.
func start(t *testing.T, o Options) *Demo {
	t.Helper()
	log := &testlog.Lines{}
	d, err := Start(t.Context(), o, log)
	require.NoError(t, err, log.String())
	t.Cleanup(func() {
		require.NoError(t, d.Close(context.WithoutCancel(t.Context())), log.String())
		require.NotContains(t, log.String(), "level=ERROR") // warnings may quote Postgres, which says ERROR of a lock that it waited for
	})
	return d
}

// get returns the status of a page, asked for with a session token or a service's.
func get(t *testing.T, url, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// TestStart_LeavesNothingToRepair, whether webhooks or the first sweep brought an object first.
func TestStart_LeavesNothingToRepair(t *testing.T) {
	t.Parallel()
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			said, err := start(t, anywhere(pgtest.EmptyURL(t))).shown.Sweep(t.Context())
			require.NoError(t, err)
			require.Contains(t, said, "nothing differed")
		})
	}
}

// TestDemo_RunsBesideAnother, each with ports of its own.
func TestDemo_RunsBesideAnother(t *testing.T) {
	t.Parallel()
	for range 2 {
		d := start(t, anywhere(pgtest.EmptyURL(t)))
		for _, url := range []string{d.Playground + "/sign-in", d.Rolecall + "/openapi.yaml", d.Admin + "/readyz", d.Clerk + "/.well-known/jwks.json"} {
			status, text := servicetest.Fetch(t.Context(), http.DefaultClient, url)
			require.Equal(t, http.StatusOK, status, url+": "+text)
		}
	}
}

// TestDemo_BeginsAnewWithTheSameIds: tokens of an earlier run stay valid, and nothing of what
// happened in it is left.
func TestDemo_BeginsAnewWithTheSameIds(t *testing.T) {
	t.Parallel()
	url := pgtest.EmptyURL(t)
	first, err := Start(t.Context(), anywhere(url), io.Discard)
	require.NoError(t, err)
	member, _ := first.Cast.Person("member")
	northwind, _ := first.Cast.Workspace("northwind")
	file := filepath.Join(t.TempDir(), "env")
	require.NoError(t, first.writeVariables(file))
	earlier, err := godotenv.Read(file)
	require.NoError(t, err)
	require.NoError(t, first.Simulator.World().RemoveMember(northwind.ID, member.UserID))
	require.NoError(t, first.Close(t.Context()))

	second := start(t, anywhere(url))
	require.Equal(t, first.Cast, second.Cast)
	require.Equal(t, first.ServiceToken, second.ServiceToken)
	require.Equal(t, first.Simulator.World().SecretKey(), second.Simulator.World().SecretKey())
	page := second.Rolecall + "/v1/workspaces/" + northwind.ID
	require.Equal(t, http.StatusOK, get(t, page, earlier["DEMO_MEMBER_TOKEN"]), "a removal of the earlier run is forgotten")
	require.Equal(t, http.StatusNotFound, get(t, page, earlier["DEMO_STRANGER_TOKEN"]))

	other := anywhere(pgtest.EmptyURL(t))
	other.Seed = 2
	third := start(t, other)
	require.NotEqual(t, second.ServiceToken, third.ServiceToken)
	require.Equal(t, http.StatusUnauthorized, get(t, third.Rolecall+"/v1/me", earlier["DEMO_MEMBER_TOKEN"]))
}

// TestDemo_EndsWithRequestsUnderWay: it waits neither for half a request nor for an open stream.
func TestDemo_EndsWithRequestsUnderWay(t *testing.T) {
	t.Parallel()
	d, err := Start(t.Context(), anywhere(pgtest.EmptyURL(t)), io.Discard)
	require.NoError(t, err)
	conns := map[string]net.Conn{}
	for _, url := range []string{d.Playground, d.Rolecall, d.Admin, d.Clerk} {
		address := strings.TrimPrefix(url, "http://")
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() }) // dev has cut it
		conns[url] = conn
		_, err = conn.Write([]byte("GET /events HTTP/1.1\r\n"))
		require.NoError(t, err)
	}
	stream, err := http.Get(d.Admin + "/events")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, stream.StatusCode)
	begun := time.Now()
	require.NoError(t, d.Close(t.Context()))
	require.Less(t, time.Since(begun), clerkHeaderTimeout, "it waited for a request")
	_, err = io.Copy(io.Discard, stream.Body)
	require.NoError(t, err, "the stream has ended")
	require.NoError(t, stream.Body.Close())
	for url, conn := range conns {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(2*time.Second)), url)
		_, err := io.Copy(io.Discard, conn)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "dev has ended, and nobody cut the connection to %s", url)
	}
}

// TestDemo_EndsWithPostgres: without it, dev would only log errors.
func TestDemo_EndsWithPostgres(t *testing.T) {
	t.Parallel()
	d := start(t, anywhere(pgtest.EmptyURL(t)))
	ended := make(chan error, 1)
	go func() { ended <- untilEnd(t.Context(), d.service, d.server.Done()) }()
	require.NoError(t, d.server.Stop(t.Context())) // as if it had ended by itself: this one is given, and goes on
	require.ErrorIs(t, <-ended, errNoPostgres)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, untilEnd(ctx, d.service, nil))
}

// clerkHeaderTimeout is how long the simulated Clerk waits for the rest of a request.
const clerkHeaderTimeout = 10 * time.Second

// TestDemo_TakesAnotherFolder if another dev uses the usual one.
func TestDemo_TakesAnotherFolder(t *testing.T) {
	t.Parallel()
	folder := servicetest.DataFolder(t)
	taken := []string{}
	for range 2 {
		server, err := startBeside(t.Context(), folder, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, server.Stop(context.WithoutCancel(t.Context()))) })
		taken = append(taken, server.DataDir())
	}
	require.Equal(t, []string{folder, folder + "-2"}, taken)
}
