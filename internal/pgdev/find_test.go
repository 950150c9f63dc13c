package pgdev

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var errNoNetwork = errors.New("no route to the repository")

func noFetch(context.Context, account) (string, error) { return "", errNoNetwork }

// bareSearch finds nothing but what env and globs say.
func bareSearch(env map[string]string, globs ...string) *search {
	return &search{env: func(name string) string { return env[name] }, globs: globs, fetch: noFetch}
}

// fakeInstallation is a folder with scripts that print a version.
func fakeInstallation(t *testing.T, dir, version string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + " (Somebody 1.2-3)'\n"
	for _, name := range []string{"initdb", "postgres"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	return dir
}

func anAccount(t *testing.T) account {
	t.Helper()
	acct, err := chooseAccount()
	require.NoError(t, err)
	return acct
}

func TestFind_ErrorSaysWhereItLooked(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	old := fakeInstallation(t, filepath.Join(dir, "lib", "9", "bin"), "9.6.24")
	s := bareSearch(map[string]string{"PATH": "/opt/none"}, filepath.Join(dir, "lib", "*", "bin"), "/opt/none/*/bin")

	_, err := launch(t.Context(), (&Config{TempRoot: dir}).withDefaults(), s)
	none, ok := errors.AsType[*NoBinariesError](err)
	require.True(t, ok, "%v", err)
	require.ErrorIs(t, err, errNoNetwork)
	require.Len(t, none.Looked, 5)
	for _, part := range []string{
		"PG_BINDIR: not set", "PATH /opt/none: no folder", "no pg_config in PATH", old + ": version 9.6.24 is older than 14",
		"/opt/none/*/bin: nothing there", "no route to the repository", "apt-get install postgresql", "DATABASE_URL",
	} {
		require.ErrorContains(t, err, part)
	}
	left, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	require.NoError(t, err)
	require.Empty(t, left, "the temporary folder is gone again")
}

func TestFind_SearchOrder(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	inPath := fakeInstallation(t, filepath.Join(dir, "path"), "15.1")
	nine := fakeInstallation(t, filepath.Join(dir, "lib", "9", "bin"), "9.6")
	sixteen := fakeInstallation(t, filepath.Join(dir, "lib", "16", "bin"), "16.4")
	eighteen := fakeInstallation(t, filepath.Join(dir, "lib", "18", "bin"), "18beta1")
	byHand := fakeInstallation(t, filepath.Join(dir, "hand"), "17.0")
	asked := filepath.Join(dir, "asked")
	require.NoError(t, os.MkdirAll(asked, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(asked, "pg_config"), []byte("#!/bin/sh\necho "+byHand+"\n"), 0o755))
	glob := filepath.Join(dir, "lib", "*", "bin")

	for _, tc := range []struct {
		name      string
		env       map[string]string
		wantMajor int
		want      string
		wantErr   string
	}{
		{name: "PG_BINDIR first", env: map[string]string{"PG_BINDIR": byHand, "PATH": inPath}, want: byHand},
		{name: "a wrong PG_BINDIR isn't ignored", env: map[string]string{"PG_BINDIR": nine, "PATH": inPath}, wantErr: "older than"},
		{name: "then PATH", env: map[string]string{"PATH": "/opt/none:" + inPath}, want: inPath},
		{name: "then pg_config", env: map[string]string{"PATH": asked}, want: byHand},
		{name: "then the highest version", env: map[string]string{}, want: eighteen},
		{name: "the version that wrote the data", env: map[string]string{"PATH": inPath}, wantMajor: 16, want: sixteen},
		{name: "a version that isn't there", env: map[string]string{"PATH": inPath}, wantMajor: 14, wantErr: "install version 14"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			inst, err := bareSearch(tc.env, glob).find(t.Context(), anAccount(t), tc.wantMajor)
			if tc.wantErr != "" {
				require.ErrorContains(t, err, tc.wantErr)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, inst.binDir)
		})
	}
}

func TestFind_FetchedBinariesAreReused(t *testing.T) {
	t.Parallel()
	dir, binDir := folder(t), realBinDir(t)
	downloads := 0 // written under the fetch lock
	f := &fetcher{logger: slog.New(slog.DiscardHandler), cacheDir: filepath.Join(dir, "cache"), download: func(_, target string) error {
		downloads++
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		return os.Symlink(binDir, filepath.Join(target, "bin"))
	}}
	s := bareSearch(map[string]string{})
	s.fetch = f.fetch

	for range 2 {
		server, err := launch(t.Context(), (&Config{TempRoot: dir, Settings: fast()}).withDefaults(), s)
		require.NoError(t, err)
		require.Equal(t, "1", query(t, server.URL(""), "SELECT '1'"))
		require.Contains(t, server.Description(), f.cacheDir)
		stop(t, server)
	}
	require.Equal(t, 1, downloads)
}

// TestFind_FetchesNothingOnceItsContextHasEnded: no binary answers then, which doesn't mean that
// none is installed.
func TestFind_FetchesNothingOnceItsContextHasEnded(t *testing.T) {
	t.Parallel()
	s := bareSearch(nil, fakeInstallation(t, folder(t), "15.13"))
	s.fetch = func(context.Context, account) (string, error) {
		t.Error("it fetches")
		return "", errNoNetwork
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.find(ctx, anAccount(t), 0)
	require.ErrorIs(t, err, context.Canceled)
}
