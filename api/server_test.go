package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestConfig_NamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	good := func() Config {
		return Config{
			DB: &hookedDB{}, Authenticator: tokenAuthenticator{}, Policy: fixed(clerksync.Grants{"org:admin": {"x"}}),
			Logger: slog.New(slog.DiscardHandler),
		}
	}
	_, err := NewHandler(good())
	require.NoError(t, err)
	for missing, spoil := range map[string]func(*Config){
		"DB":            func(c *Config) { c.DB = nil },
		"Authenticator": func(c *Config) { c.Authenticator = nil },
		"Policy":        func(c *Config) { c.Policy = nil },
		"empty":         func(c *Config) { c.Policy = fixed(nil) },
		"Logger":        func(c *Config) { c.Logger = nil },
	} {
		config := good()
		spoil(&config)
		_, err := NewHandler(config)
		require.ErrorContains(t, err, missing)
	}
}

func TestRouter_UnknownPathIs404(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	for _, target := range []string{
		"/", "/v1", "/v1/", "/v1/me/", "/v1//me", "/V1/me", "/v1/workspaces/", "/v1/workspaces//me", "/v1/workspaces/org_1/",
		"/v1/workspaces/org_1/members/", "/v1/workspaces/org_1/nothing", "/v1/workspaces/org_1/../org_1", "/v1/./me", "/openapi.json", "/v1/authorize/x",
	} {
		for _, token := range []string{"", "user_1"} {
			x := b.get(token, target)
			requireProblem(t, x, http.StatusNotFound, "")
			require.Empty(t, x.header.Get("Location"), target)
		}
	}
}

func TestRouter_OtherMethodIs405(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	for target, allowed := range map[string][]string{
		"/v1/me": {"GET", "HEAD"}, "/v1/workspaces": {"POST"}, "/v1/workspaces/org_1": {"GET", "HEAD", "PATCH"},
		"/v1/workspaces/org_1/members/user_1": {"PATCH", "DELETE"}, "/v1/workspaces/org_1/invitations": {"GET", "HEAD", "POST"},
		"/v1/workspaces/org_1/invitations/orginv_1": {"DELETE"}, "/v1/workspaces/org_1/me": {"GET", "HEAD"}, "/v1/workspaces/org_1/members": {"GET", "HEAD"},
		"/v1/authorize": {"GET", "HEAD", "POST"}, "/openapi.yaml": {"GET", "HEAD"},
	} {
		for _, method := range []string{"DELETE", "PUT", "PATCH", "OPTIONS", "BREW"} {
			if slices.Contains(allowed, method) {
				continue
			}
			x := b.send("", method, target, "")
			requireProblem(t, x, http.StatusMethodNotAllowed, "")
			require.Equal(t, allowed, x.header.Values("Allow"), "%s %s", method, target)
			require.Contains(t, string(x.body), `"detail":"`, "%s %s", method, target)
		}
	}
	requireProblem(t, b.send("", "POST", "/v1/me", ""), http.StatusMethodNotAllowed, "")
	require.Contains(t, string(b.send("", "GET", "/v1/workspaces", "").body), "GET /v1/me lists the workspaces", "who looks for the list finds it")
}

func TestServer_PanicIsAnInternalError(t *testing.T) {
	t.Parallel()
	b := setupServer(t, func(c *Config) {
		c.Decided = func(clerksync.Reason) { panic("pgx: SQLSTATE 42P01") }
	})
	for token, target := range map[string]string{panicToken: "/v1/me", "user_1": "/v1/workspaces/org_1"} {
		requireProblem(t, b.get(token, target), http.StatusInternalServerError, "")
		logged := b.logs.take()
		require.Contains(t, logged, "request panicked")
		require.Contains(t, logged, "pgx: ")
		require.Contains(t, logged, "_test.go", "the log says where")
	}
	require.Equal(t, http.StatusOK, b.get("user_1", "/v1/me").status, "the next request is served")
}

func TestServer_WithoutSigningKeysIs503(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	for _, target := range append(userRoutes("org_1"), "/v1/me") {
		x := b.get(keysAwayToken, target)
		requireProblem(t, x, http.StatusServiceUnavailable, "")
		require.Equal(t, "1", x.header.Get("Retry-After"))
	}
	requireProblem(t, b.post(keysAwayToken, `{}`), http.StatusServiceUnavailable, "")
	logged := b.logs.take()
	require.Contains(t, logged, "connection refused")
	for line := range strings.Lines(logged) {
		require.Contains(t, line, `"reason":"keys_unavailable"`, "the limiter of log lines goes by the reason: any caller can cause such lines")
	}
}

// everyRequest calls each route that reads the database.
func everyRequest(b *serverBundle, each func(exchange)) {
	for _, target := range append(userRoutes("org_1"), "/v1/me") {
		each(b.get("user_1", target))
		each(b.get(serviceToken, target, headerOnBehalfOf, "user_1"))
	}
	each(b.post(serviceToken, checksJSON(b.tb, checkBody{"user_1", "org_1", "members:read"})))
}

// TestServer_WithoutDatabaseIs503: nothing listens at the database's address.
func TestServer_WithoutDatabaseIs503(t *testing.T) {
	t.Parallel()
	const address = "127.0.0.1:1"
	away, err := pgxpool.New(t.Context(), "postgres://someone:secret@"+address+"/rolecall_test_gone?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(away.Close)
	b := setupServer(t, func(c *Config) { c.DB = away })
	everyRequest(b, func(x exchange) {
		requireProblem(t, x, http.StatusServiceUnavailable, "")
		requireNothingInternal(t, x, "rolecall_test_gone", "someone", "secret", address)
		require.Contains(t, b.logs.take(), "request failed")
	})
}

// TestServer_ServesAgainAfterADatabaseOutage: the outage cuts the pool's connections.
func TestServer_ServesAgainAfterADatabaseOutage(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	require.Equal(t, http.StatusOK, b.get("user_1", "/v1/workspaces/org_1").status)
	_, err := b.pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	require.NoError(t, err)
	for { // each broken connection fails at most one request
		x := b.get("user_1", "/v1/workspaces/org_1")
		if x.status == http.StatusOK {
			break
		}
		requireProblem(t, x, http.StatusServiceUnavailable, "")
	}
	b.logs.take()
}

// TestServer_BrokenSchemaIsAnInternalError: the database answers, so the error isn't an outage.
func TestServer_BrokenSchemaIsAnInternalError(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	_, err := b.pool.Exec(t.Context(), `DROP SCHEMA rolecall CASCADE`)
	require.NoError(t, err)
	everyRequest(b, func(x exchange) {
		requireProblem(t, x, http.StatusInternalServerError, "")
		requireNothingInternal(t, x, "relation", "rolecall.", "schema")
		require.Contains(t, b.logs.take(), "42P01")
	})
}

// TestServer_HangingDatabaseIs503InTime: a caller waits for requestTimeout, and the failure is
// logged.
func TestServer_HangingDatabaseIs503InTime(t *testing.T) {
	t.Parallel()
	b := setupServer(t, func(c *Config) { c.DB = &hookedDB{query: untilDone} })
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		requireProblem(t, b.serve(userRequest(t.Context(), "/v1/workspaces/org_1")), http.StatusServiceUnavailable, "")
		require.Equal(t, requestTimeout, time.Since(began))
	})
	require.Contains(t, b.logs.take(), "request failed")
}

// TestServer_CallerThatGoesAwayIsNotLogged holds at any stage of the request.
func TestServer_CallerThatGoesAwayIsNotLogged(t *testing.T) {
	t.Parallel()
	t.Run("while the database works", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		b := setupServer(t, nil)
		release := b.db.Hold(t, "LOCK TABLE rolecall.memberships IN ACCESS EXCLUSIVE MODE")
		done := make(chan exchange)
		go func() {
			request := userRequest(ctx, "/v1/workspaces/org_1")
			recorder := httptest.NewRecorder()
			b.handler.ServeHTTP(recorder, request)
			done <- exchange{request: request, status: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()}
		}()
		b.db.UntilBlocked(t, 1)
		cancel()
		release() // others could share the query, so that it doesn't end with the caller
		b.held(<-done)
		require.Empty(t, b.logs.take())
	})
	t.Run("while it waits for a connection", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		b := setupServer(t, func(c *Config) {
			c.DB = &hookedDB{query: func(ctx context.Context) error { cancel(); return untilDone(ctx) }}
		})
		synctest.Test(t, func(*testing.T) { b.serve(userRequest(ctx, "/v1/workspaces/org_1")) })
		require.Empty(t, b.logs.take())
	})
}

// TestWorkspace_DeletedAfterTheDecisionIs404: the workspace is deleted between the decision and the
// answer.
func TestWorkspace_DeletedAfterTheDecisionIs404(t *testing.T) {
	t.Parallel()
	db := &hookedDB{}
	b := setupServer(t, func(c *Config) { db.DBTX = c.DB; c.DB = db })
	b.world.member("org_1", "user_1", "org:admin", nil)
	db.queryRow = func() { b.world.deleteOrganization("org_1") }
	requireProblem(t, b.serve(userRequest(t.Context(), "/v1/workspaces/org_1")), http.StatusNotFound, "")
}

// userRequest returns a GET by user_1 for [serverBundle.serve].
func userRequest(ctx context.Context, target string) *http.Request {
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	request.Header.Set("Authorization", "Bearer user_1")
	return request
}

// TestServer_DatabaseLostAfterTheDecisionIsLogged: the last query of each route fails.
func TestServer_DatabaseLostAfterTheDecisionIsLogged(t *testing.T) {
	t.Parallel()
	for target, queries := range map[string]int{"/v1/me": 2, "/v1/workspaces/org_1": 2, membersOfOne: 2} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			db := &hookedDB{}
			b := setupServer(t, func(c *Config) { db.DBTX = c.DB; c.DB = db })
			b.world.member("org_1", "user_1", "org:admin", nil)
			require.Equal(t, http.StatusOK, b.get("user_1", target).status)
			var asked int
			db.query = func(context.Context) error {
				if asked++; asked == queries {
					return &net.OpError{Op: "read", Err: errors.New("connection reset")}
				}
				return nil
			}
			db.queryRow = func() {
				if asked++; asked == queries {
					_, err := b.pool.Exec(t.Context(), `DROP SCHEMA rolecall CASCADE`)
					require.NoError(t, err)
				}
			}
			x := b.serve(userRequest(t.Context(), target))
			require.Contains(t, []int{http.StatusServiceUnavailable, http.StatusInternalServerError}, x.status)
			require.Contains(t, b.logs.take(), "request failed")
		})
	}
}

// hookedDB is a database that calls a hook before its queries.
type hookedDB struct {
	store.DBTX
	asked    func(sql string, args []any) // of a query that may begin
	query    func(context.Context) error
	queryRow func()
}

func (db *hookedDB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if db.query != nil {
		if err := db.query(ctx); err != nil {
			return nil, err
		}
	}
	if db.asked != nil {
		db.asked(sql, args)
	}
	return db.DBTX.Query(ctx, sql, args...)
}

func (db *hookedDB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if db.queryRow != nil {
		db.queryRow()
	}
	return db.DBTX.QueryRow(ctx, sql, args...)
}

// untilDone waits like a query without an answer.
func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return errors.Join(errors.New("query"), ctx.Err())
}
