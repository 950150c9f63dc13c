package database_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestMigrate_WithTheLeastRights: another role created the schema, and this role may create only
// objects in it.
func TestMigrate_WithTheLeastRights(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	cfg := config.Config{DatabaseURL: servicetest.AppRole(t, c, "")}
	for range 2 {
		left, err := database.Migrate(t.Context(), cfg, nil)
		require.NoError(t, err)
		require.Equal(t, "CREATE ROLE rolecall_reader NOLOGIN;\nGRANT USAGE ON SCHEMA rolecall TO rolecall_reader;\n"+
			"GRANT EXECUTE ON FUNCTION rolecall.can, rolecall.workspaces_of TO rolecall_reader;", left)
	}
	c.Exec("rolecall", "CREATE ROLE rolecall_reader NOLOGIN")
	left, err := database.Migrate(t.Context(), cfg, nil)
	require.NoError(t, err)
	require.Empty(t, left, "the owner grants its rights as soon as the role exists")

	c.Exec("rolecall", "REVOKE CREATE ON SCHEMA rolecall FROM app; ALTER SCHEMA rolecall OWNER TO postgres; GRANT USAGE ON SCHEMA rolecall TO app")
	left, err = database.Migrate(t.Context(), cfg, nil)
	require.NoError(t, err, "there is nothing to change")
	require.Empty(t, left)
}

// TestCurrentHistory_OfARoleThatMayAskForLittle: what the server doesn't tell counts as equal.
func TestCurrentHistory_OfARoleThatMayAskForLittle(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	require.NoError(t, database.MigrateURL(t.Context(), servicetest.AppRole(t, c, "")))
	c.Exec("rolecall", "CREATE ROLE other; GRANT USAGE ON SCHEMA rolecall TO other; GRANT SELECT ON rolecall.database_identity TO other")
	c.Exec("rolecall", `INSERT INTO rolecall.database_identity (system_identifier, timeline, noted_at) SELECT system_identifier::text, 1, now() FROM pg_control_system()`)
	current := func() string {
		return c.Value("rolecall", "SELECT coalesce(rolecall.current_history()::text, '') FROM (SELECT set_config('role', 'other', false)) AS other")
	}
	noted := c.Value("rolecall", "SELECT history::text FROM rolecall.database_identity")
	require.Equal(t, noted, current())
	c.Exec("rolecall", "UPDATE rolecall.database_identity SET system_identifier = '7'")
	require.Empty(t, current(), "an ordinary role may ask for the cluster")
	c.Exec("rolecall", "REVOKE EXECUTE ON FUNCTION pg_control_system FROM PUBLIC")
	require.Equal(t, noted, current(), "what it may not ask counts as equal")
	c.Exec("rolecall", "UPDATE rolecall.database_identity SET timeline = 7")
	require.Empty(t, current())
	c.Exec("rolecall", "REVOKE EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) FROM PUBLIC")
	require.Equal(t, noted, current())

	standby := c.Standby()
	require.Empty(t, standby.Value("rolecall", "SELECT coalesce(rolecall.current_history()::text, '')"), "in recovery")
	require.Equal(t, noted, standby.Value("rolecall", "SELECT history::text FROM rolecall.database_identity"), "as it was replayed")
}

// TestMigrate_NamesTheRoleThatMustHelp if its own role lacks a right.
func TestMigrate_NamesTheRoleThatMustHelp(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	given := servicetest.AppRole(t, c, "")
	c.Exec("rolecall", "ALTER SCHEMA rolecall OWNER TO postgres")
	require.ErrorContains(t, database.MigrateURL(t.Context(), given), `the role app may not use the schema rolecall: let its owner run GRANT USAGE, CREATE ON SCHEMA rolecall TO "app"`)
	c.Exec("rolecall", "GRANT USAGE ON SCHEMA rolecall TO app")
	require.ErrorContains(t, database.MigrateURL(t.Context(), given), `the role app may not create tables in the schema rolecall: let its owner run GRANT USAGE, CREATE ON SCHEMA rolecall TO "app"`)
	c.Exec("rolecall", "DROP SCHEMA rolecall")
	require.ErrorContains(t, database.MigrateURL(t.Context(), given), `let a role that may run CREATE SCHEMA rolecall AUTHORIZATION "app"`)
}
