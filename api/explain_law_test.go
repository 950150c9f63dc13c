package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/pgtest"
)

// TestExplain_DecidesAsAuthorize: on every user, workspace and permission of random worlds, with
// and without a bound on age. An allowance has no fact that refuses, and a refusal has one.
func TestExplain_DecidesAsAuthorize(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		world := drawGrantedWorld(t)
		tx, err := pool.Begin(ctx)
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(ctx)) }()
		require.NoError(t, world.save(ctx, tx))
		handler, err := NewHandler(Config{DB: tx, Authenticator: tokenAuthenticator{}, Policy: fixed(world.grants), Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		ask := func(path, body string, answer any) {
			request := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
			request.Header.Set("Authorization", "Bearer "+serviceToken)
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			require.Equal(t, http.StatusOK, recorder.Code, recorder.Body)
			require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), answer))
		}
		demand := rapid.SampledFrom([]string{"", `,"max_staleness":1`}).Draw(t, "demand")
		for _, organization := range append(smallOrganizations(), "org_unknown") {
			for _, user := range append(smallUsers(), "user_unknown") {
				check, err := json.Marshal(checkBody{user, organization, rapid.SampledFrom(append(somePermissions(), "p:nobody")).Draw(t, "permission")})
				require.NoError(t, err)
				var decided decisionsBody
				var explained Reasoning
				ask("/v1/authorize", `{"checks":[`+string(check)+`]`+demand+`}`, &decided)
				ask("/v1/explain", strings.TrimSuffix(string(check), "}")+demand+`}`, &explained)
				require.Equal(t, decided.Decisions[0], explained.Decision)
				refuses := false
				for _, f := range explained.Facts {
					refuses = refuses || f.Holds != nil && !*f.Holds
				}
				require.Equal(t, !explained.Decision.Allowed, refuses, "%s: %+v", check, explained.Facts)
			}
		}
	})
}
