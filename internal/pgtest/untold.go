package pgtest

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Untold makes a database refuse to tell of the server's WAL and of its identity, as providers'
// databases do, with a SQLSTATE. It may be called again, with another one.
func Untold(t testing.TB, url, state string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	// Postgres calls its own functions by their numbers, and not by their text: these are others.
	const hide = "DO $$BEGIN ALTER FUNCTION pg_catalog.%[1]s RENAME TO %[1]s_hidden; EXCEPTION WHEN duplicate_function THEN NULL; END$$"
	statements := []string{"SET allow_system_table_mods = on"}
	for name, signature := range map[string]string{
		"pg_current_wal_flush_lsn": "() RETURNS pg_lsn",
		"pg_control_system":        "(OUT system_identifier bigint)",
	} {
		statements = append(statements, fmt.Sprintf(hide, name), fmt.Sprintf(
			"CREATE OR REPLACE FUNCTION pg_catalog.%s%s LANGUAGE plpgsql AS $$BEGIN RAISE 'not here' USING ERRCODE = '%s'; END$$", name, signature, state))
	}
	for _, sql := range statements {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
}
