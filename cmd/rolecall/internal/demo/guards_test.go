package demo

import (
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
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

// TestDev_StartsNothingWithARemoteDatabase, whichever setting names it.
func TestDev_StartsNothingWithARemoteDatabase(t *testing.T) {
	t.Parallel()
	const local, remote = "postgres://u@localhost/app", "postgres://u:opensesame@db.callmine.test/app"
	for _, cfg := range []config.Config{{DatabaseURL: remote}, {DatabaseURL: local, DirectDatabaseURL: remote}} {
		err := (&Demo{}).startPostgres(t.Context(), Options{}, &cfg, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "is on db.callmine.test, and dev writes invented people into it")
	}
	_, err := Start(t.Context(), anywhere(remote), io.Discard)
	require.ErrorContains(t, err, "is on db.callmine.test, and dev writes invented people into it")
}
