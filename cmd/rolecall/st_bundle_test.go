package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"

	mathrand "math/rand/v2"
	"sync"

	"github.com/callmine/rolecall/api"
)

// request makes a command.
func (b *bundle) request(t testing.TB, method, path, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.web(path), strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	return request
}

// say sends a command as the bearer of a token.
func (b *bundle) say(t testing.TB, token, method, path, body string) (int, map[string]any) {
	t.Helper()
	return b.do(t, b.request(t, method, path, body), token)
}

// open gives the bundle a pool of its own for looking into the ledger.
func (b *bundle) open(t testing.TB, url string) {
	t.Helper()
	var err error
	b.db, err = pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(b.db.Close)
}

// text returns the status and text of a page for operators.
func (b *bundle) text(t *testing.T, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.admin(path), nil)
	require.NoError(t, err)
	response, err := b.client.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

// bundle is a whole service on free ports with a simulated Clerk beside it.
type bundle struct {
	clerk   *clerksim.World
	faults  *clerksim.APIFaults // of the simulated Clerk's API
	api     string              // its address
	courier *clerksim.Courier
	program *service.Service
	cfg     config.Config // of program
	logger  *slog.Logger
	db      *pgxpool.Pool
	secret  string // of the webhook endpoint
	service string // a service's token
	log     *safeBuffer
	client  *http.Client
}

func (b *bundle) admin(path string) string { return "http://" + b.program.AdminAddr + path }

// applied waits until nothing that was acknowledged is still to be applied. The queue has no signal for that.
func (b *bundle) applied(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting int
		err := b.db.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.deliveries WHERE state = 'received'").Scan(&waiting)
		return err == nil && waiting == 0
	}, 20*time.Second, 2*time.Millisecond)
}

func (b *bundle) do(t testing.TB, request *http.Request, token string) (int, map[string]any) {
	t.Helper()
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := b.client.Do(request)
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

// get asks as the bearer of a token and returns the status and the decoded answer.
func (b *bundle) get(t testing.TB, url, token string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	return b.do(t, request, token)
}

// may asks as the bearer of a token whether it may do something in a workspace, and returns the status.
func (b *bundle) may(t testing.TB, token, workspaceID, permission string) int {
	t.Helper()
	status, _ := b.get(t, b.web("/v1/authorize?workspace_id="+workspaceID+"&permission="+permission), token)
	return status
}

// send delivers messages one after the other, each acknowledged before the next, and waits until all are applied.
func (b *bundle) send(t testing.TB, messages ...clerksim.Message) {
	t.Helper()
	for _, m := range messages {
		result, err := b.courier.Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, clerksim.Delivered, result.Outcome, m.Type)
	}
	b.applied(t)
}

// state returns where a delivery stands in the ledger.
func (b *bundle) state(t testing.TB, id string) string {
	t.Helper()
	var state string
	require.NoError(t, b.db.QueryRow(t.Context(), "SELECT state FROM rolecall.deliveries WHERE svix_id = $1", id).Scan(&state))
	return state
}

// token makes a session token for a user.
func (b *bundle) token(t testing.TB, userID string) string {
	t.Helper()
	token, err := b.clerk.SessionToken(userID, clerksim.TokenOptions{Lifetime: time.Hour})
	require.NoError(t, err)
	return token
}

func (b *bundle) web(path string) string { return "http://" + b.program.WebAddr + path }

// setup starts one. The clock of the simulated Clerk can be replaced.
func setup(t testing.TB, clerkNow func() time.Time) *bundle {
	t.Helper()
	url := pgtest.URL(t)
	b := startBundle(t, url, clerkNow, config.Parts{Web: true, Workers: true})
	b.open(t, url)
	return b
}

// signingKey is shared: making one takes a tenth of a second.
var signingKey = sync.OnceValues(clerksim.NewSigningKey)

// startBundle starts one on a given database.
func startBundle(t testing.TB, databaseURL string, clerkNow func() time.Time, which config.Parts, changes ...func(*bundle, *config.Config)) *bundle {
	t.Helper()
	ctx := t.Context()
	key, err := signingKey()
	require.NoError(t, err)
	b := &bundle{log: &safeBuffer{}, faults: clerksim.NewAPIFaults()}
	b.clerk, err = clerksim.New(clerksim.Config{SigningKey: key, Now: clerkNow})
	require.NoError(t, err)
	simulator, err := clerksim.Listen(ctx, "", b.clerk.Handler(b.faults.Middleware))
	require.NoError(t, err)
	b.api = simulator.URL + "/v1"
	t.Cleanup(func() { require.NoError(t, simulator.Close(context.WithoutCancel(ctx))) })

	rng := mathrand.New(mathrand.NewPCG(1, 2))
	b.secret = clerksim.NewSecret(rng)
	token, hash, err := api.NewServiceToken(strings.NewReader(strings.Repeat("entropy ", 8)))
	require.NoError(t, err)
	b.service = token
	cfg := config.Config{
		DatabaseURL: databaseURL, SigningSecrets: []string{b.secret, clerksim.NewSecret(rng)}, Issuer: b.clerk.Issuer(),
		JWKSURL: simulator.URL + "/.well-known/jwks.json", InstanceID: b.clerk.InstanceID(),
		AuthorizedParties: []string{b.clerk.AuthorizedParty()}, ServiceTokens: "reports:" + hash,
		ListenAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", MaxRemovalRatio: 0.05,
	}
	surround(t, &cfg)
	for _, change := range changes {
		change(b, &cfg)
	}
	b.cfg = cfg
	b.logger = slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.program, err = service.Start(ctx, cfg, which, b.logger)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.program.Stop(context.WithoutCancel(ctx))) })

	b.courier, err = clerksim.NewCourier(clerksim.CourierConfig{
		Endpoints: []clerksim.Endpoint{{URL: b.web("/webhooks/clerk"), Secrets: []string{b.secret}}},
	})
	require.NoError(t, err)
	t.Cleanup(b.courier.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	b.client = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return b
}
