package api

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// grantedWorld is a small world with roles and a policy. Its memberships have one of three roles:
// org:a is known to the policy at most, org:b may be a role of Clerk's, and org:c is the former key
// of that role.
type grantedWorld struct {
	smallWorld

	roles, permissions []map[string]any
	grants             clerksync.Grants
}

func somePermissions() []string { return []string{"p:1", "p:2", "org:snap", "org:perm"} }

func drawGrantedWorld(t *rapid.T) grantedWorld {
	w := grantedWorld{smallWorld: drawSmallWorld(t), grants: clerksync.Grants{}}
	for _, m := range w.memberships {
		m["role"] = rapid.SampledFrom([]string{"org:a", "org:b", "org:c"}).Draw(t, "role")
		m["version"] = map[string]any{"u": worldBegan().UnixMilli(), "k": 2}
		m["permissions"] = rapid.SampledFrom([][]string{{}, {"org:snap"}, {"org:snap", "p:2"}}).Draw(t, "snapshot")
	}
	if rapid.Bool().Draw(t, "role known") {
		w.roles = append(w.roles, map[string]any{
			"id": "role_b", "key": "org:b", "keys": map[string]any{"org:b": []int64{1}, "org:c": []int64{1}},
			"permission_ids": rapid.SampledFrom([][]string{{}, {"perm_1"}, {"perm_1", "perm_2", "perm_unknown"}}).Draw(t, "permissions"),
			"deleted_at":     dead(rapid.IntRange(0, 3).Draw(t, "role dead") == 3),
		})
		w.permissions = append(w.permissions,
			map[string]any{"id": "perm_1", "key": "org:perm", "deleted_at": dead(rapid.IntRange(0, 3).Draw(t, "permission dead") == 3)},
			map[string]any{"id": "perm_2", "key": "p:1"})
	}
	for _, role := range []string{"org:a", "org:b", "org:c"} {
		if rapid.Bool().Draw(t, "granted anything to "+role) { // else it is unknown, unless Clerk knows it
			w.grants[role] = rapid.SliceOfNDistinct(rapid.SampledFrom(somePermissions()[:2]), 1, 2, rapid.ID[string]).Draw(t, "granted to "+role)
		}
	}
	w.grants["org:nobody"] = []string{"p:1"} // a handler needs a policy that isn't empty
	return w
}

func (w grantedWorld) save(ctx context.Context, tx pgx.Tx) error {
	if err := w.smallWorld.save(ctx, tx); err != nil {
		return err
	}
	if err := saveRows(ctx, tx, map[string][]map[string]any{"roles": w.roles, "permissions": w.permissions}); err != nil {
		return err
	}
	_, err := store.SaveGrants(ctx, tx, w.grants, 0)
	return err
}

// standing is the oracle: a pair's standing, computed without SQL.
func (w grantedWorld) standing(user, organization string) clerksync.Standing {
	s := clerksync.Standing{UserID: user, OrganizationID: organization}
	for _, o := range w.organizations {
		s.OrganizationDead = s.OrganizationDead || o["id"] == organization && o["deleted_at"] != nil
	}
	for _, u := range w.users {
		if u["id"] == user {
			s.User = clerksync.UserStatus{Dead: u["deleted_at"] != nil, Banned: u["banned"].(bool), Deprovisioned: u["deprovisioned"].(bool)}
		}
	}
	var pair []map[string]any
	for _, m := range w.memberships {
		if m["user_id"] == user && m["organization_id"] == organization {
			pair = append(pair, m)
		}
	}
	if len(pair) == 0 {
		return s
	}
	s.EverMember = true
	for _, m := range pair {
		if countsAmong(m, pair) {
			s.Member, s.Role, s.Permissions = true, m["role"].(string), m["permissions"].([]string)
		}
	}
	if s.Member && s.Role != "org:a" && len(w.roles) > 0 {
		s.Role, s.Permissions = "org:b", w.permissionsAtClerk()
	}
	return s
}

// countsAmong is the rule of the view effective_memberships, in Go.
func countsAmong(m map[string]any, pair []map[string]any) bool {
	alive := func(m map[string]any) int {
		if m["deleted_at"] == nil {
			return 1
		}
		return 0
	}
	for _, n := range pair {
		later := cmp.Or(n["created_at"].(time.Time).Compare(m["created_at"].(time.Time)), cmp.Compare(alive(n), alive(m)),
			cmp.Compare(n["id"].(string), m["id"].(string))) > 0
		ended, dead := n["deleted_at"].(time.Time)
		shown, ok := m["alive_at"].(time.Time)
		outlived := dead && ok && shown.After(ended.Add(100*time.Millisecond))
		if later && !outlived {
			return false
		}
	}
	return m["deleted_at"] == nil
}

// permissionsAtClerk returns the permissions of the one known role.
func (w grantedWorld) permissionsAtClerk() (keys []string) {
	if w.roles[0]["deleted_at"] != nil {
		return nil
	}
	for _, p := range w.permissions {
		if slices.Contains(w.roles[0]["permission_ids"].([]string), p["id"].(string)) && p["deleted_at"] == nil {
			keys = append(keys, p["key"].(string))
		}
	}
	return keys
}

// TestSQLFunctions_AgreeWithTheAPI compares SQL functions, API and oracle on every user, workspace
// and permission of random worlds.
func TestSQLFunctions_AgreeWithTheAPI(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		world := drawGrantedWorld(t)
		tx, err := pool.Begin(ctx)
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(ctx)) }()
		require.NoError(t, world.save(ctx, tx))

		var checks []checkBody
		var want []bool
		for _, organization := range append(smallOrganizations(), "org_unknown") {
			for _, user := range append(smallUsers(), "user_unknown") {
				for _, permission := range append(somePermissions(), "p:nobody") {
					checks = append(checks, checkBody{UserID: user, WorkspaceID: organization, Permission: permission})
					want = append(want, world.grants.Decide(world.standing(user, organization), permission).Allowed)
				}
			}
		}
		require.Equal(t, want, answered(ctx, t, tx, world.grants, checks), "the API and the oracle")
		require.Equal(t, want, selected(ctx, t, tx, checks), "rolecall.can and the oracle")
		for _, user := range append(smallUsers(), "user_unknown") {
			var member []string
			for _, organization := range append(smallOrganizations(), "org_unknown") {
				in := world.grants.Decide(world.standing(user, organization), policy.None).Allowed
				require.Equal(t, []bool{in}, selected(ctx, t, tx, []checkBody{{UserID: user, WorkspaceID: organization}}), "membership alone")
				if in {
					member = append(member, organization)
				}
			}
			rows, err := tx.Query(ctx, "SELECT * FROM rolecall.workspaces_of($1)", user)
			require.NoError(t, err)
			workspaces, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			require.ElementsMatch(t, member, workspaces, "rolecall.workspaces_of and the oracle")
		}
	})
}

// TestGrantedWorlds_HaveEachReason: what agrees in random worlds would agree in empty ones, too.
func TestGrantedWorlds_HaveEachReason(t *testing.T) {
	t.Parallel()
	reasons := map[clerksync.Reason]int{}
	worlds := rapid.Custom(drawGrantedWorld)
	for seed := range 200 {
		world := worlds.Example(seed)
		for _, organization := range smallOrganizations() {
			for _, user := range smallUsers() {
				for _, permission := range append(somePermissions(), "p:nobody") {
					reasons[world.grants.Decide(world.standing(user, organization), permission).Reason]++
				}
			}
		}
	}
	for _, reason := range []clerksync.Reason{
		clerksync.ReasonAllowed, clerksync.ReasonPermissionMissing, clerksync.ReasonUnknownRole, clerksync.ReasonNotAMember,
		clerksync.ReasonWorkspaceDeleted, clerksync.ReasonUserDeleted, clerksync.ReasonUserBanned, clerksync.ReasonUserDeprovisioned,
	} {
		require.Positive(t, reasons[reason], reason)
	}
}

// answered asks POST /v1/authorize.
func answered(ctx context.Context, t *rapid.T, db store.DBTX, grants clerksync.Grants, checks []checkBody) (allowed []bool) {
	handler, err := NewHandler(Config{DB: db, Authenticator: tokenAuthenticator{}, Policy: fixed(grants), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	for chunk := range slices.Chunk(checks, maxChecks) {
		body, err := json.Marshal(map[string]any{"checks": chunk})
		require.NoError(t, err)
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/authorize", strings.NewReader(string(body)))
		request.Header.Set("Authorization", "Bearer "+serviceToken)
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body)
		var answer decisionsBody
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer))
		require.Len(t, answer.Decisions, len(chunk))
		for _, d := range answer.Decisions {
			allowed = append(allowed, d.Allowed)
		}
	}
	return allowed
}

// selected asks rolecall.can.
func selected(ctx context.Context, t *rapid.T, db store.DBTX, checks []checkBody) []bool {
	text, err := json.Marshal(checks)
	require.NoError(t, err)
	rows, err := db.Query(ctx, `SELECT rolecall.can(c ->> 'user_id', c ->> 'workspace_id', c ->> 'permission')
		FROM json_array_elements($1::json) WITH ORDINALITY AS checks (c, n) ORDER BY n`, text)
	require.NoError(t, err)
	allowed, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	require.NoError(t, err)
	return allowed
}
