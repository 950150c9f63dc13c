package demo

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestDev_KeepsOutOfOtherDatabases, since it writes invented people.
func TestDev_KeepsOutOfOtherDatabases(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "postgres://u@localhost/app", "postgres://u@127.0.0.1:5433/app", "postgres://u@[::1]/app",
		"postgres:///app?host=/var/run/postgresql", "host=127.0.0.1 dbname=app",
	} {
		require.NoError(t, Options{}.refuseRemote(url), url)
	}
	for _, url := range []string{
		"postgres://u:opensesame@db.example.com/app", "postgres://u:opensesame@10.0.0.7/app",
		"host=db.example.com user=u password=opensesame", "postgres://u:opensesame@%zz",
		"postgres://u:opensesame@localhost,db.example.com/app", "postgres://u:opensesame@127.0.0.1:1,10.0.0.7:5432/app",
	} {
		err := Options{}.refuseRemote(url)
		require.Error(t, err, url)
		require.NotContains(t, err.Error(), "opensesame")
	}
	require.NoError(t, Options{Remote: true}.refuseRemote("postgres://u@db.example.com/app"), "with the flag")
}

// TestDev_KeepsOutOfAnInstancesMirror, since its first sweep would remove all people.
func TestDev_KeepsOutOfAnInstancesMirror(t *testing.T) {
	t.Parallel()
	require.NoError(t, refuseForeign(t.Context(), pgtest.EmptyURL(t)))
	b := servicetest.Setup(t, nil)
	require.NoError(t, refuseForeign(t.Context(), b.Config.DatabaseURL), "nothing is in it")
	_, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	require.ErrorContains(t, refuseForeign(t.Context(), b.Config.DatabaseURL), "mirror of the Clerk instance "+b.Clerk.InstanceID())
	_, err = b.DB.Exec(t.Context(), "UPDATE rolecall.deliveries SET instance_id = $1", instancePrefix+"0123456789abcdef")
	require.NoError(t, err)
	require.NoError(t, refuseForeign(t.Context(), b.Config.DatabaseURL), "an earlier run's")
	for _, id := range []string{instancePrefix + "0123456789abcdef0123", instancePrefix + "XYZ"} {
		_, err = b.DB.Exec(t.Context(), "UPDATE rolecall.deliveries SET instance_id = $1", id)
		require.NoError(t, err)
		require.ErrorContains(t, refuseForeign(t.Context(), b.Config.DatabaseURL), id)
	}
	_, err = b.DB.Exec(t.Context(), "UPDATE rolecall.deliveries SET body = NULL")
	require.NoError(t, err)
	require.Error(t, refuseForeign(t.Context(), b.Config.DatabaseURL), "an unknown instance may be real")
}
