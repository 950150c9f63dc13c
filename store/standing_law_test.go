package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestLaw_StandingReader_AgreesWithTheViews: roles are renamed, deleted and revived, keys pass from
// role to role, and permissions come and go. What the reader remembers never differs from the view.
func TestLaw_StandingReader_AgreesWithTheViews(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	reader := store.NewStandingReader(pool) // over all histories
	rapid.Check(t, func(t *rapid.T) {
		exec(t, pool, `DELETE FROM rolecall.memberships`)
		exec(t, pool, `DELETE FROM rolecall.roles`)
		exec(t, pool, `DELETE FROM rolecall.permissions`)
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			changeRoles(t, pool)
			requireAsViews(t, pool, reader)
		}
	})
}

func exec(t *rapid.T, pool *pgxpool.Pool, sql string, args ...any) {
	_, err := pool.Exec(context.Background(), sql, args...)
	require.NoError(t, err)
}

// changeRoles writes one object, as any delivery might.
func changeRoles(t *rapid.T, pool *pgxpool.Pool) {
	key := rapid.SampledFrom([]string{"org:a", "org:a", "org:b"})
	instant := rapid.SampledFrom([]int64{1, 3, 5, 7})
	dead := `CASE WHEN $3 THEN now() END`
	isDead := rapid.IntRange(0, 3).Draw(t, "dead") == 0
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0, 1:
		keys, err := json.Marshal(rapid.MapOfN(key, rapid.SliceOfNDistinct(instant, 0, 3, rapid.ID), 1, 3).Draw(t, "keys"))
		require.NoError(t, err)
		exec(t, pool, `INSERT INTO rolecall.roles (id, key, deleted_at, keys, permission_ids) VALUES ($1, $2, `+dead+`, $4, $5)
			ON CONFLICT (id) DO UPDATE SET key = excluded.key, deleted_at = excluded.deleted_at, keys = excluded.keys, permission_ids = excluded.permission_ids`,
			rapid.SampledFrom([]string{"role_1", "role_2", "role_3"}).Draw(t, "role"), key.Draw(t, "key"), isDead, string(keys),
			rapid.SliceOfDistinct(rapid.SampledFrom([]string{"perm_1", "perm_2", "perm_3"}), rapid.ID).Draw(t, "permissions"))
	case 2:
		exec(t, pool, `INSERT INTO rolecall.permissions (id, key, deleted_at) VALUES ($1, $2, `+dead+`)
			ON CONFLICT (id) DO UPDATE SET key = excluded.key, deleted_at = excluded.deleted_at`,
			rapid.SampledFrom([]string{"perm_1", "perm_2", "perm_3"}).Draw(t, "permission"), key.Draw(t, "key"), isDead)
	default:
		version := rapid.SampledFrom([]string{
			`{}`, `{"u":3,"o":7,"k":2}`, `{"u":7,"o":3,"k":4}`, `{"u":5,"o":5,"k":1}`, `{"u":1,"o":9,"k":4}`,
		})
		exec(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id, deleted_at, role, version, field_versions, permissions)
			VALUES ($1, 'org_1', $2, `+dead+`, $4, $5, $6, ARRAY['org:own'])
			ON CONFLICT (id) DO UPDATE SET deleted_at = excluded.deleted_at, role = excluded.role, version = excluded.version, field_versions = excluded.field_versions`,
			fmt.Sprintf("orgmem_%d", rapid.IntRange(1, 3).Draw(t, "membership")), rapid.SampledFrom([]string{"user_1", "user_2"}).Draw(t, "user"), isDead,
			key.Draw(t, "role"), version.Draw(t, "version"), rapid.SampledFrom([]*string{nil, nil, new(`{"role":` + version.Draw(t, "of the role") + `}`), new(`{"name":{}}`)}).Draw(t, "field versions"))
	}
}

// requireAsViews compares the reader with the view, for each pair.
func requireAsViews(t *rapid.T, pool *pgxpool.Pool, reader *store.StandingReader) {
	pairs := []store.Pair{{UserID: "user_1", OrganizationID: "org_1"}, {UserID: "user_2", OrganizationID: "org_1"}}
	alone := make([]clerksync.Standing, len(pairs)) // asked first, while the reader remembers the roles of before
	for i := range pairs {
		one, err := reader.Read(context.Background(), pairs[i:i+1])
		require.NoError(t, err)
		alone[i] = one[0]
	}
	standings, err := reader.Read(context.Background(), pairs)
	require.NoError(t, err)
	for i, p := range pairs {
		var ever, member bool
		var role string
		var permissions []string
		row := pool.QueryRow(context.Background(), `SELECT count(*) > 0, count(*) FILTER (WHERE counts) > 0, coalesce(max(role) FILTER (WHERE counts), ''),
			coalesce((SELECT array_agg(key ORDER BY key COLLATE "C") FROM rolecall.effective_memberships c, unnest(c.permissions) key
				WHERE c.organization_id = $1 AND c.user_id = $2 AND c.counts), '{}')
			FROM rolecall.effective_memberships WHERE organization_id = $1 AND user_id = $2`, p.OrganizationID, p.UserID)
		require.NoError(t, row.Scan(&ever, &member, &role, &permissions))
		got := standings[i]
		require.Equal(t, got, alone[i], "asked alone")
		require.Equal(t, ever, got.EverMember)
		require.Equal(t, member, got.Member)
		if member {
			require.Equal(t, role, got.Role)
			require.ElementsMatch(t, permissions, got.Permissions)
		}
	}
}

// TestStandingReader_OnePairIsAsAmongOthers: a single pair has a query of its own.
func TestStandingReader_OnePairIsAsAmongOthers(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	for _, sql := range []string{
		`INSERT INTO rolecall.organizations (id, created_at, deleted_at) VALUES
			('org_live', '2020-01-01', NULL), ('org_dead', '2020-01-01', now()), ('org_future', now() + interval '1 day', NULL), ('org_undated', NULL, NULL)`,
		`INSERT INTO rolecall.revisions (organization_id, revision) VALUES ('org_live', 3), ('org_dead', 4), ('org_future', 5), ('org_undated', 6)`,
		`INSERT INTO rolecall.ended_sessions (id) VALUES ('sess_ended')`,
		`INSERT INTO rolecall.users (id, deleted_at, banned, deprovisioned) VALUES
			('user_live', NULL, false, false), ('user_dead', now(), false, false), ('user_banned', NULL, true, false), ('user_gone', NULL, false, true)`,
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role, permissions, created_at, deleted_at) VALUES
			('orgmem_1', 'org_live', 'user_live', 'org:old', '{}', '2020-01-01', now()), ('orgmem_2', 'org_live', 'user_live', 'org:new', '{org:a,org:b}', '2021-01-01', NULL),
			('orgmem_3', 'org_live', 'user_banned', 'org:left', '{}', '2020-01-01', now()), ('orgmem_4', 'org_unknown', 'user_unknown', 'org:lone', '{}', '2020-01-01', NULL)`,
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	var pairs []store.Pair
	for _, organization := range []string{"org_live", "org_dead", "org_future", "org_undated", "org_unknown", ""} {
		for _, user := range []string{"user_live", "user_dead", "user_banned", "user_gone", "user_unknown"} {
			pairs = append(pairs, store.Pair{UserID: user, OrganizationID: organization})
		}
	}
	pairs = append(pairs,
		store.Pair{UserID: "user_live", OrganizationID: "org_live", Sessions: store.Sessions{SessionID: "sess_ended"}},
		store.Pair{UserID: "user_live", OrganizationID: "org_live", Sessions: store.Sessions{SessionID: "sess_live", ImpersonatorSession: "sess_ended"}},
		store.Pair{UserID: "user_live", OrganizationID: "org_live", Sessions: store.Sessions{Impersonator: "user_dead"}},
		store.Pair{UserID: "user_live", OrganizationID: "org_live", Sessions: store.Sessions{Impersonator: "user_live"}},
		store.Pair{UserID: "user_live", OrganizationID: "org_live", Sessions: store.Sessions{SessionID: "sess_live"}})
	asked := &asked{DBTX: pool}
	reader := store.NewStandingReader(asked)
	for _, verified := range []string{`NULL`, `'2022-02-02'`} {
		_, err := pool.Exec(t.Context(), `UPDATE rolecall.revisions SET revision = 7, verified_at = `+verified+` WHERE organization_id = ''`)
		require.NoError(t, err)
		among, err := reader.Read(t.Context(), pairs)
		require.NoError(t, err)
		for i, p := range pairs {
			asked.last = ""
			alone, err := reader.Read(t.Context(), []store.Pair{p})
			require.NoError(t, err)
			require.Equal(t, among[i:i+1], alone, "%v", p)
			require.Contains(t, asked.last, "-- name: Standing :many", "by its own query")
		}
	}
}

// TestStandingReader_OnePairWithAKeyOfSeveralRoles: the query for a single pair doesn't read when
// the membership got its role.
func TestStandingReader_OnePairWithAKeyOfSeveralRoles(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	for _, sql := range []string{
		`INSERT INTO rolecall.roles (id, key, keys) VALUES ('role_1', 'org:first', '{"org:shared":[1000]}'), ('role_2', 'org:second', '{"org:shared":[5000]}')`,
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role, version) VALUES ('orgmem_1', 'org_1', 'user_1', 'org:shared', '{"u":9000,"o":9000,"k":1}')`,
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	reader := store.NewStandingReader(pool)
	for range 2 { // the roles are known only the second time
		standings, err := reader.Read(t.Context(), []store.Pair{{UserID: "user_1", OrganizationID: "org_1"}})
		require.NoError(t, err)
		require.Equal(t, "org:second", standings[0].Role)
	}
}

// asked notes the last query.
type asked struct {
	store.DBTX

	last string
}

func (a *asked) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	a.last = sql
	return a.DBTX.Query(ctx, sql, args...)
}

// TestStandingReader_WithoutAStampRemembersNothing: a row of before the stamps may be changed by
// anyone.
func TestStandingReader_WithoutAStampRemembersNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	for _, sql := range []string{
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role) VALUES ('orgmem_1', 'org_1', 'user_1', 'org:a')`,
		`INSERT INTO rolecall.roles (id, key, keys) VALUES ('role_1', 'org:b', '{"org:a":[1],"org:b":[2]}')`,
		`UPDATE rolecall.revisions SET roles_stamp = NULL`, `ALTER TABLE rolecall.roles DISABLE TRIGGER USER`,
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	reader := store.NewStandingReader(pool)
	for _, key := range []string{"org:b", "org:c"} {
		_, err := pool.Exec(t.Context(), `UPDATE rolecall.roles SET key = $1`, key)
		require.NoError(t, err)
		standings, err := reader.Read(t.Context(), []store.Pair{{UserID: "user_1", OrganizationID: "org_1"}})
		require.NoError(t, err)
		require.Equal(t, key, standings[0].Role)
	}
}
