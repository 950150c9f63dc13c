// Package servicetest starts whole services for tests, each beside a simulated Clerk.
//
// It guarantees that services share nothing: each has free ports and a database of its own, and
// ends with its test.
package servicetest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/internal/testlog"
)

// Bundle is a whole service on free ports with a simulated Clerk beside it.
type Bundle struct {
	Clerk        *clerksim.World
	Faults       *clerksim.APIFaults // of the simulated Clerk's API
	API          string              // address of that API
	Courier      *svixsim.Courier
	Service      *service.Service
	Config       config.Config // of Service
	Extras       service.Extras
	Logger       *slog.Logger
	DB           *pgxpool.Pool
	Secret       string // of the webhook endpoint
	ServiceToken string // of a service that asks
	Log          *testlog.Lines
	Client       *http.Client
}

// signingKey is shared: making one takes a tenth of a second.
var signingKey = sync.OnceValues(clerksim.NewSigningKey)

// Setup starts a service on a new database. clerkNow is the clock of the simulated Clerk; nil for
// the real one.
func Setup(t testing.TB, clerkNow func() time.Time) *Bundle {
	t.Helper()
	url := pgtest.URL(t)
	b := Start(t, url, clerkNow, config.Parts{Web: true, Workers: true})
	b.Open(t, url)
	return b
}

// Start starts a service on the given database.
func Start(t testing.TB, databaseURL string, clerkNow func() time.Time, which config.Parts, changes ...func(*Bundle, *config.Config)) *Bundle {
	t.Helper()
	ctx := t.Context()
	key, err := signingKey()
	require.NoError(t, err)
	b := &Bundle{Log: &testlog.Lines{}, Faults: clerksim.NewAPIFaults()}
	b.Clerk, err = clerksim.New(clerksim.Config{SigningKey: key, Now: clerkNow})
	require.NoError(t, err)
	simulator, err := clerksim.Listen(ctx, "", b.Clerk.Handler(b.Faults.Middleware))
	require.NoError(t, err)
	b.API = simulator.URL + "/v1"
	t.Cleanup(func() { require.NoError(t, simulator.Close(context.WithoutCancel(ctx))) })

	rng := mathrand.New(mathrand.NewPCG(1, 2))
	b.Secret = svixsim.NewSecret(rng)
	token, hash, err := auth.NewServiceToken(strings.NewReader(strings.Repeat("entropy ", 8)))
	require.NoError(t, err)
	b.ServiceToken = token
	cfg := config.Config{
		DatabaseURL: databaseURL, SigningSecrets: []string{b.Secret, svixsim.NewSecret(rng)}, Issuer: b.Clerk.Issuer(),
		JWKSURL: simulator.URL + "/.well-known/jwks.json", InstanceID: b.Clerk.InstanceID(),
		AuthorizedParties: []string{b.Clerk.AuthorizedParty()}, ServiceTokens: "reports:" + hash,
		ListenAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", MaxRemovalRatio: 0.05,
	}
	surround(t, &cfg)
	for _, change := range changes {
		change(b, &cfg)
	}
	b.Config = cfg
	b.Logger = slog.New(slog.NewJSONHandler(b.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.Service, err = service.StartWith(ctx, cfg, which, b.Logger, b.Extras)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Service.Stop(context.WithoutCancel(ctx))) })

	b.connect(t)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Client = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return b
}

// connect points the courier at the service.
func (b *Bundle) connect(t testing.TB) {
	t.Helper()
	endpoint := svixsim.Endpoint{URL: b.Web("/webhooks/clerk"), Secrets: []string{b.Secret}}
	courier, err := svixsim.NewCourier(svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{endpoint}})
	require.NoError(t, err)
	t.Cleanup(courier.Close)
	b.Courier = courier
}

// Restart replaces the service by one with another configuration.
func (b *Bundle) Restart(t testing.TB, cfg config.Config, which config.Parts) {
	t.Helper()
	require.NoError(t, b.Service.Stop(t.Context()))
	restarted, err := service.StartWith(t.Context(), cfg, which, b.Logger, b.Extras)
	require.NoError(t, err)
	b.Config = cfg
	b.Service = restarted
	b.connect(t)
}

// Web returns the address of a page of the public side.
func (b *Bundle) Web(path string) string { return "http://" + b.Service.WebAddr + path }

// Admin returns the address of a page for operators.
func (b *Bundle) Admin(path string) string { return "http://" + b.Service.AdminAddr + path }

// Send delivers messages one after the other, each acknowledged before the next, and waits until
// all are applied.
func (b *Bundle) Send(t testing.TB, messages ...clerksim.Message) {
	t.Helper()
	for _, m := range messages {
		result, err := b.Courier.Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, svixsim.Delivered, result.Outcome, m.Type)
	}
	b.Applied(t)
}

// Applied waits until no acknowledged delivery waits to be applied. The queue has no signal for
// that.
func (b *Bundle) Applied(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting int
		err := b.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.deliveries WHERE state = 'received'").Scan(&waiting)
		return err == nil && waiting == 0
	}, 20*time.Second, 2*time.Millisecond)
}

// State returns the state of a delivery in the ledger.
func (b *Bundle) State(t testing.TB, id string) string {
	t.Helper()
	var state string
	require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT state FROM rolecall.deliveries WHERE svix_id = $1", id).Scan(&state))
	return state
}

// Token makes a session token for a user.
func (b *Bundle) Token(t testing.TB, userID string) string {
	t.Helper()
	token, err := b.Clerk.SessionToken(userID, clerksim.TokenOptions{Lifetime: time.Hour})
	require.NoError(t, err)
	return token
}

// Get asks as the bearer of a token and returns the status and the decoded answer.
func (b *Bundle) Get(t testing.TB, url, token string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	return b.Do(t, request, token)
}

// Do asks as the bearer of a token; "" for none.
func (b *Bundle) Do(t testing.TB, request *http.Request, token string) (int, map[string]any) {
	t.Helper()
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := b.Client.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var body map[string]any
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		require.NoError(t, json.Unmarshal(text, &body), string(text))
	}
	return response.StatusCode, body
}

// May asks, as the bearer of a token, for a permission in a workspace, and returns the status.
func (b *Bundle) May(t testing.TB, token, workspaceID, permission string) int {
	t.Helper()
	status, _ := b.Get(t, b.Web("/v1/authorize?workspace_id="+workspaceID+"&permission="+permission), token)
	return status
}

// Say sends a command as the bearer of a token.
func (b *Bundle) Say(t testing.TB, token, method, path, body string) (int, map[string]any) {
	t.Helper()
	return b.Do(t, b.Request(t, method, path, body), token)
}

// Request makes a command.
func (b *Bundle) Request(t testing.TB, method, path, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.Web(path), strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	return request
}

// Text returns the status and text of a page for operators.
func (b *Bundle) Text(t *testing.T, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.Admin(path), nil)
	require.NoError(t, err)
	response, err := b.Client.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

// Open gives the bundle its own pool for reading the database.
func (b *Bundle) Open(t testing.TB, url string) {
	t.Helper()
	var err error
	b.DB, err = pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(b.DB.Close)
}
