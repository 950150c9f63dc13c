package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/pgtest"
)

// TestAuthZEN_SearchesFindWhatEvaluationsAllow: over random worlds, each search finds the set of
// evaluations that are true, page by page. Evaluations, the API's own decisions, the SQL functions
// and the oracle agree.
func TestAuthZEN_SearchesFindWhatEvaluationsAllow(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	ctx := t.Context()
	var found, pages int
	rapid.Check(t, func(t *rapid.T) {
		world := drawGrantedWorld(t)
		tx, err := pool.Begin(ctx)
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(ctx)) }()
		require.NoError(t, world.save(ctx, tx))
		handler, err := NewHandler(Config{DB: tx, Authenticator: tokenAuthenticator{}, Policy: fixed(world.grants), Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		asker := authZENAsker{ctx: ctx, t: t, handler: handler, limit: rapid.IntRange(1, 3).Draw(t, "limit")}

		users, organizations := append(smallUsers(), "user_unknown"), append(smallOrganizations(), "org_unknown")
		permissions := append(somePermissions(), "p:nobody")
		var checks []checkBody
		var want []bool
		for _, organization := range organizations {
			for _, user := range users {
				for _, permission := range permissions {
					checks = append(checks, checkBody{UserID: user, WorkspaceID: organization, Permission: permission})
					want = append(want, world.grants.Decide(world.standing(user, organization), permission).Allowed)
				}
			}
		}
		require.Equal(t, want, asker.evaluate(checks), "evaluations and the oracle")
		require.Equal(t, want, answered(ctx, t, tx, world.grants, checks), "the API and the oracle")
		require.Equal(t, want, selected(ctx, t, tx, checks), "rolecall.can and the oracle")

		allowed := func(of func(checkBody) bool, id func(checkBody) string) []string {
			ids := []string{}
			for i, c := range checks {
				if want[i] && of(c) {
					ids = append(ids, id(c))
				}
			}
			slices.Sort(ids)
			return ids
		}
		for _, permission := range permissions {
			for _, organization := range organizations {
				require.ElementsMatch(t, allowed(func(c checkBody) bool { return c.WorkspaceID == organization && c.Permission == permission }, func(c checkBody) string { return c.UserID }),
					asker.search("subject", asked(`{"type":"user"}`, named(permission), entityOf("workspace", organization))), "who may %s in %s", permission, organization)
			}
			for _, user := range users {
				require.ElementsMatch(t, allowed(func(c checkBody) bool { return c.UserID == user && c.Permission == permission }, func(c checkBody) string { return c.WorkspaceID }),
					asker.search("resource", asked(entityOf("user", user), named(permission), `{"type":"workspace"}`)), "where %s may %s", user, permission)
			}
		}
		for _, organization := range organizations {
			for _, user := range users {
				require.Equal(t, allowed(func(c checkBody) bool { return c.UserID == user && c.WorkspaceID == organization }, func(c checkBody) string { return c.Permission }),
					asker.search("action", asked(entityOf("user", user), "", entityOf("workspace", organization))), "what %s may do in %s", user, organization)
			}
		}
		found, pages = found+asker.found, pages+asker.pages
	})
	require.Positive(t, found, "nothing was ever found")
	require.Positive(t, pages, "no search had a second page")
}

func named(permission string) string  { return `{"name":"` + permission + `"}` }
func entityOf(kind, id string) string { return `{"type":"` + kind + `","id":"` + id + `"}` }

// authZENAsker asks as a service.
type authZENAsker struct {
	ctx          context.Context
	t            *rapid.T
	handler      http.Handler
	limit        int
	found, pages int // results, and further pages
}

func (a *authZENAsker) ask(path, body string, answer any) {
	request := httptest.NewRequestWithContext(a.ctx, http.MethodPost, "/access/v1/"+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+serviceToken)
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	a.handler.ServeHTTP(recorder, request)
	require.Equal(a.t, http.StatusOK, recorder.Code, "%s: %s", body, recorder.Body)
	require.NoError(a.t, json.Unmarshal(recorder.Body.Bytes(), answer))
}

// evaluate asks POST /access/v1/evaluations.
func (a *authZENAsker) evaluate(checks []checkBody) (allowed []bool) {
	for chunk := range slices.Chunk(checks, maxChecks) {
		items := []string{}
		for _, c := range chunk {
			items = append(items, asked(entityOf("user", c.UserID), named(c.Permission), entityOf("organization", c.WorkspaceID)))
		}
		var answer evaluationsBody
		a.ask("evaluations", `{"evaluations":[`+strings.Join(items, ",")+`]}`, &answer)
		require.Len(a.t, answer.Evaluations, len(chunk))
		for _, e := range answer.Evaluations {
			allowed = append(allowed, e.Decision)
		}
	}
	return allowed
}

// search asks for all pages of a search, and returns the ids or names.
func (a *authZENAsker) search(kind, body string) []string {
	all, token := []string{}, ""
	for {
		page, err := json.Marshal(map[string]any{"limit": a.limit, "token": token})
		require.NoError(a.t, err)
		var answer searchBody
		a.ask("search/"+kind, strings.TrimSuffix(body, "}")+`,"page":`+string(page)+`}`, &answer)
		require.LessOrEqual(a.t, len(answer.Results), a.limit)
		for _, r := range answer.Results {
			all = append(all, r.ID+r.Name)
		}
		a.found += len(answer.Results)
		if token = answer.Page.NextToken; token == "" {
			return all
		}
		require.Len(a.t, answer.Results, a.limit, "a page that isn't full has a next one")
		a.pages++
	}
}
