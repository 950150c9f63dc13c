package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/changefeed"
	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/internal/testlog"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Tokens that the bundle's authenticator knows. A user's id is that user's token. It may be
// followed by claims: /session=sess_2/active=org_1/act=user_2/act_session=sess_3. A service token
// may be followed by its rights, as in the configuration: /scopes=read.
const (
	serviceToken  = "rcs_billing"
	keysAwayToken = "keys-away"
	panicToken    = "panics"
)

// tokenAuthenticator identifies callers by the token's text. The real authenticator has tests of
// its own.
type tokenAuthenticator struct{}

func (tokenAuthenticator) Authenticate(_ context.Context, r *http.Request) (auth.Identity, error) {
	token, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !bears:
		return auth.Identity{}, &auth.Error{Reason: auth.ReasonMissing}
	case strings.HasPrefix(token, clerksync.UserPrefix):
		return userIdentity(token), nil
	case strings.HasPrefix(token, serviceToken):
		entry := "billing:" + strings.Repeat("00", sha256.Size) + strings.TrimPrefix(token, serviceToken)
		services, err := auth.ParseServiceTokens(entry)
		if err != nil {
			return auth.Identity{}, &auth.Error{Reason: auth.ReasonServiceToken, Err: err}
		}
		return auth.Identity{Service: "billing", Rights: services[0].Rights}, nil
	case token == keysAwayToken:
		return auth.Identity{}, fmt.Errorf("%w: dial tcp: connection refused", auth.ErrKeysUnavailable)
	case token == panicToken:
		panic("pgx: a secret of goroutine 1")
	default:
		return auth.Identity{}, &auth.Error{Reason: auth.ReasonMalformed}
	}
}

// userIdentity reads the token of a user.
func userIdentity(token string) auth.Identity {
	user, claims, _ := strings.Cut(token, "/")
	identity := auth.Identity{UserID: user, SessionID: "sess_1"}
	for claim := range strings.SplitSeq(claims, "/") {
		switch name, value, _ := strings.Cut(claim, "="); name {
		case "session":
			identity.SessionID = value
		case "active":
			identity.ActiveOrganization = value
		case "act":
			identity.Impersonator = value
		case "act_session":
			identity.ImpersonatorSession = value
		}
	}
	return identity
}

// testClock is a clock that stands still until it is moved.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logLines are the warnings and errors of the log, which a test takes one after the other.
type logLines struct {
	testlog.Lines

	taken int // bytes
}

// Logger returns a logger that adds to the lines.
func (l *logLines) Logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(&l.Lines, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// take returns the lines that were logged since the last take.
func (l *logLines) take() string {
	all := l.String()
	fresh := all[l.taken:]
	l.taken = len(all)
	return fresh
}

// serverBundle is the API on a database of its own, behind real HTTP.
type serverBundle struct {
	tb       testing.TB
	db       *mirrortest.DB
	pool     *pgxpool.Pool // the database's
	world    *world
	contract *contract
	logs     *logLines
	feed     *changefeed.Feed // nil unless setupFeed set the bundle up
	handler  http.Handler
	url      string
	client   *http.Client
}

// fixed is a policy that never changes.
func fixed(grants clerksync.Grants) func() *policy.Policy {
	return func() *policy.Policy { return &policy.Policy{Grants: grants} }
}

// setupServer serves the API with the default policy; change may alter its configuration. A test
// that leaves an error in the log fails: it must take the lines that it expects.
func setupServer(tb testing.TB, change func(*Config)) *serverBundle {
	tb.Helper()
	db := mirrortest.New(tb)
	builtIn, err := policy.Default()
	require.NoError(tb, err)
	b := &serverBundle{
		tb: tb, db: db, pool: db.Pool, world: &world{tb: tb, db: db}, contract: loadContract(tb), logs: &logLines{},
	}
	config := Config{DB: db.Pool, Authenticator: tokenAuthenticator{}, Policy: fixed(builtIn.Grants), Logger: b.logs.Logger(), PublicURL: "https://rolecall.example.com"}
	config.Snapshot = func(ctx context.Context, read func(store.DBTX) error) error {
		return pgx.BeginTxFunc(ctx, db.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error { return read(tx) })
	}
	if change != nil {
		change(&config)
	}
	handler, err := NewHandler(config)
	require.NoError(tb, err)
	b.handler = request.Handler(handler, func(context.Context, *request.Record, request.Ended) {})
	server := httptest.NewServer(b.handler)
	tb.Cleanup(func() {
		server.Close()
		for line := range strings.Lines(b.logs.take()) {
			require.Contains(tb, line, "caller refused", "a line that the test didn't take")
		}
	})
	b.url, b.client = server.URL, server.Client()
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}

// get sends a GET with the token ("" for none) and headers given as name, value, name, value.
func (b *serverBundle) get(token, target string, headers ...string) exchange {
	b.tb.Helper()
	return b.send(token, http.MethodGet, target, "", headers...)
}

// post sends a POST /v1/authorize with the token and a JSON body.
func (b *serverBundle) post(token, body string) exchange {
	b.tb.Helper()
	return b.send(token, http.MethodPost, "/v1/authorize", body, "Content-Type", "application/json")
}

// send exchanges one request for an answer, and checks both against the document.
func (b *serverBundle) send(token, method, target, body string, headers ...string) exchange {
	b.tb.Helper()
	asking, err := http.NewRequestWithContext(b.tb.Context(), method, b.url+target, strings.NewReader(body))
	require.NoError(b.tb, err)
	if token != "" {
		asking.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		asking.Header.Add(headers[i], headers[i+1])
	}
	response, err := b.client.Do(asking)
	require.NoError(b.tb, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(b.tb, errors.Join(err, response.Body.Close()))
	x := exchange{request: asking, requestBody: []byte(body), status: response.StatusCode, header: response.Header, body: answer}
	return b.held(x)
}

// held checks an exchange against the document, and for internal details. It returns the exchange
// without the id that its request was given, so that answers can be compared.
func (b *serverBundle) held(x exchange) exchange {
	b.tb.Helper()
	requireNothingInternal(b.tb, x, b.pool.Config().ConnConfig.Database)
	b.contract.check(b.tb, x)
	if x.request.Header.Get(request.Header) == "" {
		x.body = bytes.Replace(x.body, []byte(`,"request_id":"`+x.header.Get(request.Header)+`"`), nil, 1)
		x.header.Del(request.Header)
	}
	return x
}

// serve exchanges a request for an answer without a network. It is for requests that are cancelled,
// and for tests in a synctest bubble.
func (b *serverBundle) serve(asking *http.Request) exchange {
	b.tb.Helper()
	recorder := httptest.NewRecorder()
	b.handler.ServeHTTP(recorder, asking)
	if asking.Method == http.MethodHead { // as net/http does
		recorder.Body.Reset()
	}
	x := exchange{request: asking, status: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()}
	return b.held(x)
}

// answerOf requires a success and returns its body.
func answerOf[T any](tb testing.TB, x exchange) T {
	tb.Helper()
	require.Equal(tb, http.StatusOK, x.status, "%s", x.body)
	var body T
	require.NoError(tb, json.Unmarshal(x.body, &body))
	return body
}

// requireProblem requires a problem with a status and a reason ("" for none).
func requireProblem(tb testing.TB, x exchange, status int, reason clerksync.Reason) {
	tb.Helper()
	require.Equal(tb, status, x.status, "%s", x.body)
	var body problem
	require.NoError(tb, json.Unmarshal(x.body, &body))
	require.Equal(tb, reason, body.Reason, "%s", x.body)
}
