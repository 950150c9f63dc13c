package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
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
		require.Equal(t, ever, got.EverMember)
		require.Equal(t, member, got.Member)
		if member {
			require.Equal(t, role, got.Role)
			require.ElementsMatch(t, permissions, got.Permissions)
		}
	}
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
