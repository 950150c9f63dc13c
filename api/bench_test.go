package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

const (
	benchCallers = 16
	// benchConns is large enough that neither side waits for a connection.
	benchConns = 16
	// benchRound is how many requests each caller makes before the other side's turn. A round takes
	// about a second: long compared with starting 16 callers, and short compared with other load on
	// the machine.
	benchRound = 1000
	// benchMembers and benchOrganizations are a small customer base, whose indexes are as deep as
	// those of a larger one.
	benchMembers, benchOrganizations = 20_000, 1_000
)

// authorizeBench compares GET /v1/authorize, tokens included, with a floor: the least that a
// service must do to answer from Postgres. The floor is net/http and one query by primary key,
// through the same pool and with the same callers.
type authorizeBench struct {
	client     *http.Client
	api, floor []*http.Request // one for each caller
	evaluation []*http.Request // of AuthZEN, about the same
}

func setupAuthorizeBench(b *testing.B) *authorizeBench {
	b.Helper()
	config, err := pgxpool.ParseConfig(pgtest.DurableURL(b))
	require.NoError(b, err)
	config.MaxConns = benchConns
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(b.Context()), config) // b's context ends before the pool is closed
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	fillBench(b, pool)
	keys := publishKeys(b)
	authenticator, _ := keys.authenticator()
	builtIn, err := policy.Default()
	require.NoError(b, err)
	handler, err := NewHandler(Config{DB: pool, Authenticator: authenticator, Policy: fixed(builtIn.Grants), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	api, floor := httptest.NewServer(handler), httptest.NewServer(primaryKeyLookUp(pool))
	b.Cleanup(api.Close)
	b.Cleanup(floor.Close)
	bench := &authorizeBench{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: benchCallers}}}
	b.Cleanup(bench.client.CloseIdleConnections)
	for i := range benchCallers {
		token := keys.token(fmt.Sprintf("user_%d", i), clerksim.TokenOptions{Lifetime: time.Hour})
		ask := requestOf(b, api.URL+authorizeTarget(fmt.Sprintf("org_%d", i%benchOrganizations), "members:read"))
		ask.Header.Set("Authorization", "Bearer "+token)
		bench.api = append(bench.api, ask)
		evaluate, err := http.NewRequestWithContext(b.Context(), http.MethodPost, api.URL+pathEvaluation, strings.NewReader(
			asked(entityOf("user", fmt.Sprintf("user_%d", i)), named("members:read"), entityOf("workspace", fmt.Sprintf("org_%d", i%benchOrganizations)))))
		require.NoError(b, err)
		evaluate.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
		bench.evaluation = append(bench.evaluation, evaluate)
		bench.floor = append(bench.floor, requestOf(b, floor.URL+"/?id=orgmem_"+strconv.Itoa(i)))
	}
	bench.run(b, bench.api) // from here on, tokens are remembered and connections are open
	bench.run(b, bench.floor)
	return bench
}

func requestOf(b *testing.B, url string) *http.Request {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(b, err)
	return r
}

// fillBench makes each user an admin of one organization.
func fillBench(b *testing.B, pool *pgxpool.Pool) {
	b.Helper()
	for _, sql := range []string{
		`INSERT INTO rolecall.organizations (id, name) SELECT 'org_' || i, 'Organization' FROM generate_series(0, $1 - 1) i WHERE $2 > 0`,
		`INSERT INTO rolecall.revisions SELECT 'org_' || i, 1, now() FROM generate_series(0, $1 - 1) i WHERE $2 > 0`,
		`INSERT INTO rolecall.users (id) SELECT 'user_' || i FROM generate_series(0, $2 - 1) i WHERE $1 > 0`,
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at)
			SELECT 'orgmem_' || i, 'org_' || i % $1, 'user_' || i, 'org:admin', now() FROM generate_series(0, $2 - 1) i`,
	} {
		_, err := pool.Exec(b.Context(), sql, benchOrganizations, benchMembers)
		require.NoError(b, err)
	}
	_, err := pool.Exec(b.Context(), `VACUUM (ANALYZE) rolecall.organizations, rolecall.revisions, rolecall.users, rolecall.memberships`)
	require.NoError(b, err)
}

// primaryKeyLookUp returns the handler of the floor.
func primaryKeyLookUp(pool *pgxpool.Pool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Role string `json:"role"`
		}
		row := pool.QueryRow(r.Context(), `SELECT role FROM rolecall.memberships WHERE id = $1`, r.URL.Query().Get("id"))
		if err := row.Scan(&body.Role); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	})
}

// run lets every caller ask benchRound times and returns requests per second.
func (bench *authorizeBench) run(b *testing.B, asks []*http.Request) float64 {
	b.Helper()
	errs := make([]error, len(asks))
	began := time.Now()
	var callers sync.WaitGroup
	for i, ask := range asks {
		callers.Go(func() { errs[i] = bench.ask(ask) })
	}
	callers.Wait()
	took := time.Since(began)
	require.NoError(b, errors.Join(errs...))
	return float64(len(asks)*benchRound) / took.Seconds()
}

func (bench *authorizeBench) ask(r *http.Request) error {
	for range benchRound {
		if r.GetBody != nil {
			r.Body, _ = r.GetBody() // of a string, without an error
		}
		response, err := bench.client.Do(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", response.StatusCode)
		}
	}
	return nil
}

// BenchmarkAuthorizeHTTP interleaves rounds of the API with rounds of its floor, so that other load
// on the machine meets both. It reports medians. An operation is a round of both; run about ten of
// them:
//
//	go test -run '^$' -bench AuthorizeHTTP -benchtime 15s ./api
func BenchmarkAuthorizeHTTP(b *testing.B) {
	bench := setupAuthorizeBench(b)
	var api, floor, ratio []float64
	for b.Loop() {
		f, a := bench.run(b, bench.floor), bench.run(b, bench.api)
		api, floor, ratio = append(api, a), append(floor, f), append(ratio, a/f)
	}
	b.ReportMetric(median(api), "requests/s")
	b.ReportMetric(median(floor), "floor_requests/s")
	b.ReportMetric(median(ratio), "x_of_floor")
	b.ReportMetric(0, "ns/op") // the time of a round of both says nothing
}

// BenchmarkEvaluationHTTP interleaves rounds of AuthZEN's evaluation with rounds of GET
// /v1/authorize about the same users and workspaces.
func BenchmarkEvaluationHTTP(b *testing.B) {
	bench := setupAuthorizeBench(b)
	bench.run(b, bench.evaluation)
	var evaluations, ratio []float64
	for b.Loop() {
		a, e := bench.run(b, bench.api), bench.run(b, bench.evaluation)
		evaluations, ratio = append(evaluations, e), append(ratio, a/e)
	}
	b.ReportMetric(median(evaluations), "requests/s")
	b.ReportMetric(median(ratio), "x_time_of_authorize")
	b.ReportMetric(0, "ns/op") // as above
}

// BenchmarkAuthorizeFloor is the floor alone, for a profile to compare with.
func BenchmarkAuthorizeFloor(b *testing.B) {
	bench := setupAuthorizeBench(b)
	var floor []float64
	for b.Loop() {
		floor = append(floor, bench.run(b, bench.floor))
	}
	b.ReportMetric(median(floor), "requests/s")
	b.ReportMetric(0, "ns/op")
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
