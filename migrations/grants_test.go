package migrations_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// TestUp_NeedsNoRightToCreateRoles: without the reader role, the functions exist and only their
// owner can call them.
func TestUp_NeedsNoRightToCreateRoles(t *testing.T) {
	t.Parallel()
	pgtest.New(t) // its migration has made rolecall_reader for the whole server
	ctx, pool := t.Context(), pgtest.NewEmpty(t)
	text, err := os.ReadFile("00004_grants.sql")
	require.NoError(t, err)
	up, _, found := strings.Cut(string(text), "-- +goose Down")
	require.True(t, found)

	suffix := strings.ToLower(rand.Text()[:10])
	for name, test := range map[string]struct {
		before string
		reader bool
	}{
		"the role is there":    {"", true},
		"it isn't, nor can be": {"ALTER ROLE rolecall_reader RENAME TO rolecall_test_away_" + suffix, false},
	} {
		tx, err := pool.Begin(ctx)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // roles, too, are as they were
		owner := "rolecall_test_owner_" + suffix
		_, err = tx.Exec(ctx, test.before+";CREATE ROLE "+owner+"; GRANT CREATE ON DATABASE "+
			pgx.Identifier{pool.Config().ConnConfig.Database}.Sanitize()+" TO "+owner+"; SET LOCAL ROLE "+owner+"; CREATE SCHEMA rolecall;"+up)
		require.NoError(t, err, name)
		var reader, public, owns bool
		require.NoError(t, tx.QueryRow(ctx, `SELECT
			EXISTS (SELECT FROM pg_roles r WHERE rolname = 'rolecall_reader' AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
				AND has_schema_privilege(r.oid, 'rolecall', 'USAGE')),
			has_function_privilege('public', f.oid, 'EXECUTE'), pg_get_userbyid(proowner) = $1
			FROM pg_proc f WHERE f.oid = 'rolecall.can(text, text, text)'::regprocedure`, owner).Scan(&reader, &public, &owns))
		require.Equal(t, test.reader, reader, name)
		require.False(t, public, name)
		require.True(t, owns, name)
		require.NoError(t, tx.Rollback(ctx))
	}
}
