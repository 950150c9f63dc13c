package pgpool

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

func TestInspect_TellsPoolersApart(t *testing.T) {
	t.Parallel()
	direct := pgtest.URL(t)
	for want, target := range map[Pooler]string{
		PoolerNone: direct, PoolerSession: pgtest.PgBouncer(t, direct, pgtest.SessionPooling),
		PoolerTransaction: pgtest.PgBouncer(t, direct, pgtest.TransactionPooling),
	} {
		r, err := Inspect(t.Context(), Config{URL: target})
		require.NoError(t, err)
		require.Equal(t, want, r.Pooler)
		require.NoError(t, r.Lasting())
		require.True(t, r.Superuser && r.SchemaExists && r.CanUse && r.CanCreate && r.CanCreateSchema && r.CanMakeRoles)
		require.False(t, r.InRecovery || r.ReadOnly || r.Fsync || r.FullPages, "of the fast server")
		require.Equal(t, "off", r.Commits)
		require.NotZero(t, r.Identity.Timeline)
		require.NotEmpty(t, r.Identity.System)
	}
}

func TestInspect_TellsWhatARoleMay(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	c.Exec("", "CREATE ROLE app LOGIN PASSWORD 'secret' CONNECTION LIMIT 7", "ALTER DATABASE postgres CONNECTION LIMIT 30",
		"CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
	u, err := url.Parse(c.URL(""))
	require.NoError(t, err)
	u.User = url.UserPassword("app", "secret")
	r, err := Inspect(t.Context(), Config{URL: u.String()})
	require.NoError(t, err)
	require.Equal(t, 7, r.Limit)
	require.Equal(t, "the role app", r.Limiter)
	require.Equal(t, 1, r.InUse)
	require.NotZero(t, r.Identity.Timeline, "a plain role is told")
	require.NotEmpty(t, r.Identity.System)
	require.False(t, r.Superuser || r.SchemaExists || r.CanUse || r.CanCreate || r.CanCreateSchema || r.CanMakeRoles)
	require.True(t, r.Fsync && r.FullPages)

	r, err = Inspect(t.Context(), Config{URL: c.URL("latin")})
	require.NoError(t, err)
	require.ErrorContains(t, r.Lasting(), "the database latin has the encoding LATIN1")
	require.Equal(t, "max_connections", r.Limiter)

	r, err = Inspect(t.Context(), Config{URL: c.Standby().URL("")})
	require.NoError(t, err)
	require.True(t, r.InRecovery)
}

func TestInspect_PrintsNoURL(t *testing.T) {
	t.Parallel()
	_, err := Inspect(t.Context(), Config{URL: "postgres://u:opensesame@%zz", Setting: "ROLECALL_DIRECT_DATABASE_URL"})
	require.EqualError(t, err, "ROLECALL_DIRECT_DATABASE_URL is not a Postgres URL")
}
