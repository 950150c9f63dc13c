package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/migrations"
)

// simulated returns the URL of a database with the mirror of a simulated instance, and a session.
func simulated(t *testing.T) (url string, conn *pgx.Conn) {
	t.Helper()
	url = pgtest.URL(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(t.Context())) })
	execute(t, conn, sweepOf(instancePrefix+"0123456789abcdef", "clean"))
	require.Equal(t, 1, count(t, conn, "SELECT count(*) FROM rolecall.sweeps"))
	return url, conn
}

// sweepOf returns the statement that notes a sweep of an instance.
func sweepOf(instanceID, state string) string {
	return fmt.Sprintf(`INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, state, progress, report)
		VALUES ('start', '', false, '%s', now(), now(), '%s', '{}', '{}')`, instanceID, state)
}

func execute(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

func count(t *testing.T, conn *pgx.Conn, query string) (n int) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&n))
	return n
}

// TestRenew_LeavesWhatIsNotItsOwn: all that isn't in the schema rolecall stays, also in the same
// database.
func TestRenew_LeavesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	url, conn := simulated(t)
	execute(t, conn, "CREATE TABLE orders AS SELECT 7 AS id")
	require.NoError(t, renew(t.Context(), url, "here"))
	require.ErrorIs(t, migrations.Check(t.Context(), conn), migrations.ErrNoSchema)
	require.Equal(t, 1, count(t, conn, "SELECT count(*) FROM orders"))
	require.NoError(t, renew(t.Context(), url, "here"), "with nothing in it")
}

// TestRenew_GoesOnAfterAnInterruptedMigration: the first start may be interrupted at any time, and
// the next one finishes what it began.
func TestRenew_GoesOnAfterAnInterruptedMigration(t *testing.T) {
	t.Parallel()
	for _, version := range []int{0, 1, 3} {
		url := pgtest.URL(t)
		conn, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, conn.Close(t.Context())) })
		execute(t, conn, fmt.Sprintf("DELETE FROM rolecall.goose_db_version WHERE version_id > %d; DROP TABLE rolecall.river_migration CASCADE", version))
		if version < 3 {
			execute(t, conn, "DROP TABLE rolecall.sweeps CASCADE")
		}
		if version < 1 {
			execute(t, conn, "DROP TABLE rolecall.deliveries, rolecall.organizations, rolecall.users CASCADE")
		}
		require.NoError(t, renew(t.Context(), url, "here"), version)
		require.NoError(t, refuseOther(t.Context(), url, "ins_real"), version)
		if version == 1 {
			execute(t, conn, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body_sha256, state)
				VALUES ('msg_1', 'user.created', 'user_1', '', 'ins_real', now(), now(), '', 'received')`)
			require.ErrorContains(t, renew(t.Context(), url, "here"), "is incomplete, and has rows")
			require.ErrorContains(t, refuseOther(t.Context(), url, "ins_real"), "is incomplete, and has rows")
		}
	}
}

// TestRenew_RefusesToTakeOthersAlong: what depends on the mirror would be dropped with it.
func TestRenew_RefusesToTakeOthersAlong(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{ // what is named, not something that belongs to it
		"view":        "CREATE VIEW colleagues AS SELECT * FROM rolecall.live_members",
		"constraint":  "CREATE TABLE notes (author text REFERENCES rolecall.users (id))",
		"policy":      "CREATE TABLE notes (org text); CREATE POLICY members ON notes USING (rolecall.can('u', org, 'p'))",
		"column":      "CREATE TABLE notes (job rolecall.river_job_state)",
		"default":     "CREATE TABLE notes (n bigint DEFAULT nextval('rolecall.river_job_id_seq'))",
		"rule":        "CREATE TABLE notes (id text); CREATE RULE seen AS ON INSERT TO notes DO ALSO SELECT count(*) FROM rolecall.users",
		"type":        "CREATE DOMAIN job_state AS rolecall.river_job_state",
		"publication": "CREATE PUBLICATION people FOR TABLE rolecall.users",
		"function":    "CREATE FUNCTION people() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM rolecall.users; END",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, conn := simulated(t)
			execute(t, conn, statement)
			require.ErrorContains(t, renew(t.Context(), url, "here"), "drop your "+name+" ")
			require.Equal(t, 1, count(t, conn, "SELECT count(*) FROM rolecall.sweeps"), "nothing has changed")
		})
	}
}

// TestRenew_RefusesAMirrorInUse by another process of Rolecall, or in a transaction.
func TestRenew_RefusesAMirrorInUse(t *testing.T) {
	t.Parallel()
	url, conn := simulated(t)
	execute(t, conn, "SET application_name = 'rolecall serve'")
	require.ErrorContains(t, renew(t.Context(), url, "here"), "another process of Rolecall uses this database (rolecall serve)")
	execute(t, conn, "SET application_name = 'psql'; BEGIN; SELECT FROM rolecall.users")
	require.ErrorContains(t, renew(t.Context(), url, "here"), "lock the mirror of an earlier run")
	execute(t, conn, "COMMIT")
	require.NoError(t, renew(t.Context(), url, "here"))
}

// TestRenew_DropsOnlyWhatItMayCreateAgain: a role may own a schema that it can't create.
func TestRenew_DropsOnlyWhatItMayCreateAgain(t *testing.T) {
	t.Parallel()
	url, conn := simulated(t)
	role := "owner_" + strings.ToLower(rand.Text()) // short enough to be kept whole
	execute(t, conn, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() {
		_, err := conn.Exec(context.WithoutCancel(t.Context()), "REASSIGN OWNED BY "+role+" TO CURRENT_USER; DROP ROLE "+role)
		require.NoError(t, err)
	})
	execute(t, conn, "DO $$ DECLARE t record; BEGIN FOR t IN SELECT oid::regclass AS name FROM pg_class WHERE relnamespace = 'rolecall'::regnamespace "+
		"AND relkind IN ('r', 'p') LOOP EXECUTE format('ALTER TABLE %s OWNER TO "+role+"', t.name); END LOOP; END $$; ALTER SCHEMA rolecall OWNER TO "+role)
	err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "SET LOCAL ROLE "+role)
		require.NoError(t, err)
		return dropMirror(t.Context(), tx)
	})
	require.ErrorContains(t, err, "this role may not create it", url)
	require.Equal(t, 1, count(t, conn, "SELECT count(*) FROM rolecall.sweeps"))
}

// TestRenew_KeepsOutOfAnInstancesMirror, also if simulated instances wrote to it as well.
func TestRenew_KeepsOutOfAnInstancesMirror(t *testing.T) {
	t.Parallel()
	require.NoError(t, renew(t.Context(), pgtest.EmptyURL(t), "here"))
	b := servicetest.Setup(t, nil)
	refused := func() error { _, err := refuseForeign(t.Context(), b.DB, "here"); return err }
	require.NoError(t, refused(), "nothing is in it")
	_, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	require.ErrorContains(t, refused(), "the database here is the mirror of the Clerk instance "+b.Clerk.InstanceID())
	name := func(id string) {
		_, err := b.DB.Exec(t.Context(), "UPDATE rolecall.deliveries SET instance_id = $1", id)
		require.NoError(t, err)
	}
	name(instancePrefix + "0123456789abcdef")
	require.NoError(t, refused(), "an earlier run's")
	for _, id := range []string{instancePrefix + "0123456789abcdef0123", instancePrefix + "XYZ"} {
		name(id)
		require.ErrorContains(t, refused(), id)
	}
	_, err = b.DB.Exec(t.Context(), "UPDATE rolecall.deliveries SET body = NULL")
	require.NoError(t, err)
	require.Error(t, refused(), "an unknown instance may be real")

	url, conn := simulated(t)
	execute(t, conn, sweepOf("ins_real", "aborted"))
	require.ErrorContains(t, renew(t.Context(), url, "here"), "ins_real")
	require.Equal(t, 2, count(t, conn, "SELECT count(*) FROM rolecall.sweeps"))
}
