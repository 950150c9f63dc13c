package pgdev

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFetch_OnceForAll(t *testing.T) {
	t.Parallel()
	var downloads atomic.Int32
	dir := folder(t)
	f := &fetcher{logger: slog.New(slog.DiscardHandler), cacheDir: dir, download: func(_, target string) error {
		downloads.Add(1)
		return os.MkdirAll(filepath.Join(target, "bin"), 0o755)
	}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got, err := f.fetch(t.Context(), account{})
			if err != nil || filepath.Dir(filepath.Dir(got)) != dir {
				t.Errorf("fetch = %q, %v", got, err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, downloads.Load())
}

func TestFetch_InterruptedIsNoInstallation(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	fail := true
	f := &fetcher{logger: slog.New(slog.DiscardHandler), cacheDir: folder(t), download: func(_, target string) error {
		if err := os.MkdirAll(filepath.Join(target, "bin"), 0o755); err != nil || !fail {
			return err
		}
		return broken
	}}
	_, err := f.fetch(t.Context(), account{})
	require.ErrorIs(t, err, broken)
	fail = false
	_, err = f.fetch(t.Context(), account{})
	require.NoError(t, err)
}

func TestFetch_GivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	finished := make(chan struct{})
	f := &fetcher{logger: slog.New(slog.DiscardHandler), cacheDir: folder(t), download: func(_, target string) error {
		defer close(finished)
		<-release
		return os.MkdirAll(target, 0o755)
	}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.fetch(ctx, account{})
	require.ErrorIs(t, err, context.Canceled)
	close(release)
	<-finished
}

func TestFetch_UnreachableRepository(t *testing.T) {
	t.Parallel()
	const nobody = "http://127.0.0.1:1"
	err := downloadEmbedded(nobody, t.TempDir(), filepath.Join(t.TempDir(), "target"))
	require.ErrorContains(t, err, "from "+nobody)
	require.ErrorContains(t, err, "unable to connect")
}

// The archive is laid out as embedded-postgres expects it, with an initdb that leaves a trace if it
// gets to create anything.
func TestFetch_EmbeddedOnlyFetchesAndExtracts(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("no xz to make an archive with") //nolint:forbidigo // CI installs it
	}
	content := t.TempDir()
	bin := fakeInstallation(t, filepath.Join(content, "bin"), "15.13")
	initdb := "#!/bin/sh\necho \"$@\" > " + filepath.Join(content, "initdb.args") + "\nexit 1\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "initdb"), []byte(initdb), 0o755))
	archive := filepath.Join(t.TempDir(), "postgres.txz")
	out, err := exec.CommandContext(t.Context(), "tar", "-C", content, "-cJf", archive, "bin").CombinedOutput()
	require.NoError(t, err, "%s", out)
	repository := httptest.NewServer(jarHandler(t, archive))
	defer repository.Close()

	cache, target := t.TempDir(), filepath.Join(t.TempDir(), "target")
	require.NoError(t, downloadEmbedded(repository.URL, cache, target))
	require.FileExists(t, filepath.Join(target, "bin", "postgres"))
	scratch, err := filepath.Glob(filepath.Join(cache, "scratch-*"))
	require.NoError(t, err)
	require.Empty(t, scratch)
	args, err := os.ReadFile(filepath.Join(content, "initdb.args"))
	require.NoError(t, err)
	require.Contains(t, string(args), "--encoding=none-so-that-initdb-stops-here")
}

// An encoding that doesn't exist has to stop a real initdb before it creates anything:
// downloadEmbedded relies on it.
func TestFetch_InitdbRefusesTheEncodingThatStopsIt(t *testing.T) {
	t.Parallel()
	acct, dir := anAccount(t), folder(t)
	require.NoError(t, acct.own(dir))
	cmd := exec.CommandContext(t.Context(), filepath.Join(realBinDir(t), "initdb"), "-D", filepath.Join(dir, "data"),
		"--encoding=none-so-that-initdb-stops-here")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", childEnv(), ownedAttr(acct, 0)
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "not a valid server encoding name")
	require.NoFileExists(t, filepath.Join(dir, "data", "PG_VERSION"))
}

func jarHandler(t *testing.T, archive string) http.Handler {
	t.Helper()
	content, err := os.ReadFile(archive)
	require.NoError(t, err)
	var jar bytes.Buffer
	w := zip.NewWriter(&jar)
	entry, err := w.Create("postgres-linux.txz")
	require.NoError(t, err)
	_, err = entry.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			http.NotFound(rw, r)
			return
		}
		_, _ = rw.Write(jar.Bytes())
	})
}

// TestFetch_BinariesStayOutOfTheDataFolder: otherwise the fetched binaries would make the data
// folder one that is refused as not a database's.
func TestFetch_BinariesStayOutOfTheDataFolder(t *testing.T) {
	t.Setenv("HOME", folder(t))
	t.Setenv("XDG_CACHE_HOME", "")
	data, err := DefaultDataDir()
	require.NoError(t, err)
	binaries, err := (&fetcher{}).cache(account{})
	require.NoError(t, err)
	require.DirExists(t, binaries)
	require.NotContains(t, binaries+"/", data+"/")
	require.NotContains(t, data+"/", binaries+"/")
	require.NoError(t, prepareDataDir(data, account{}))
}
