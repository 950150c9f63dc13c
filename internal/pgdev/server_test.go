package pgdev

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/testlog"
)

func TestStart_AndStop(t *testing.T) {
	t.Parallel()
	s := start(t, Config{TempRoot: folder(t)})

	require.Equal(t, "UTF8 UTC postgres", query(t, s.URL(""),
		"SELECT current_setting('server_encoding') || ' ' || current_setting('timezone') || ' ' || current_user"))
	require.Contains(t, s.Description(), "PostgreSQL ")
	require.Contains(t, s.Description(), s.DataDir())
	require.Empty(t, s.TCPURL(""))

	u, err := url.Parse(s.URL("app"))
	require.NoError(t, err)
	require.Equal(t, "/app", u.Path)
	info, err := os.Stat(u.Query().Get("host"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "the socket folder stands in for a password")

	stop(t, s)
	<-s.Done()
	requireGone(t, s.PID())
	require.NoDirExists(t, s.DataDir())
	stop(t, s) // again, without effect
}

func TestStart_DefaultsAreDurable(t *testing.T) {
	t.Parallel()
	s := start(t, Config{TempRoot: folder(t), Settings: map[string]string{}})
	require.Equal(t, "on on on", query(t, s.URL(""),
		"SELECT current_setting('fsync') || ' ' || current_setting('synchronous_commit') || ' ' || current_setting('full_page_writes')"))
}

func TestStart_InheritsNoEnvironment(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, os.Getenv("HOME")+os.Getenv("PWD")+os.Getenv("TMPDIR"))
	for _, pair := range childEnv() {
		name, _, _ := strings.Cut(pair, "=")
		require.Contains(t, []string{
			"LC_ALL", "TZ", "PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
			"DYLD_FALLBACK_LIBRARY_PATH",
		}, name)
	}
}

func TestStart_DataSurvives(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "not", "there", "yet")
	first := start(t, Config{DataDir: dir})
	require.Equal(t, dir, first.DataDir())
	execute(t, first.URL(""), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	stop(t, first)

	second := start(t, Config{DataDir: dir})
	require.Equal(t, "yes", query(t, second.URL(""), "SELECT answer FROM kept"))
	require.Equal(t, first.URL("x"), second.URL("x"), "URLs survive too")
}

func TestStart_LiveOwnerIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "data")
	first := start(t, Config{DataDir: dir})

	_, err := Start(t.Context(), Config{DataDir: dir})
	inUse, ok := errors.AsType[*InUseError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, os.Getpid(), inUse.PID)
	require.Equal(t, dir, inUse.DataDir)
	require.Equal(t, "1", query(t, first.URL(""), "SELECT '1'"))
}

func TestStart_AfterACrash(t *testing.T) {
	t.Parallel()
	var log testlog.Lines
	dir := filepath.Join(folder(t), "data")
	first := start(t, Config{DataDir: dir, Logger: log.Logger()})
	require.NoError(t, syscall.Kill(first.PID(), syscall.SIGKILL))
	<-first.Done()
	require.Contains(t, log.String(), "postgres ended by itself")
	stop(t, first)

	second := start(t, Config{DataDir: dir})
	require.Equal(t, "1", query(t, second.URL(""), "SELECT '1'"))
}

func TestStop_WithoutTime(t *testing.T) {
	t.Parallel()
	s := start(t, Config{DataDir: filepath.Join(folder(t), "data")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Stop(ctx))
	requireGone(t, s.PID())
}

func TestStart_GivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	root := folder(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Config{TempRoot: root})
	require.Error(t, err)
	left, err := filepath.Glob(filepath.Join(root, "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestStart_EarlyEndShowsTheLog(t *testing.T) {
	t.Parallel()
	root := folder(t)
	_, err := Start(t.Context(), Config{TempRoot: root, Settings: map[string]string{"shared_buffers": "much"}})
	require.ErrorContains(t, err, "postgres ended at its start")
	require.ErrorContains(t, err, `invalid value for parameter "shared_buffers"`)
	left, err := filepath.Glob(filepath.Join(root, "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestStart_LongDataFolderName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), strings.Repeat("long", 30))
	s := start(t, Config{DataDir: dir})
	require.Equal(t, "1", query(t, s.URL(""), "SELECT '1'"))
	u, err := url.Parse(s.URL(""))
	require.NoError(t, err)
	stop(t, s)
	require.NoDirExists(t, u.Query().Get("host"))
}

func TestStart_ForeignFolderIsNotTaken(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("years"), 0o600))
	_, err := Start(t.Context(), Config{DataDir: dir})
	require.ErrorContains(t, err, "neither empty nor made by pgdev")
}

func TestStart_TCPWantsThePassword(t *testing.T) {
	t.Parallel()
	s := start(t, Config{TempRoot: folder(t), TCPAddr: "127.0.0.1:0"})
	require.Equal(t, "127.0.0.1/32", query(t, s.TCPURL(""), "SELECT inet_server_addr()::text"))

	u, err := url.Parse(s.TCPURL(""))
	require.NoError(t, err)
	u.User = url.UserPassword("postgres", "guess")
	_, err = pgx.Connect(t.Context(), u.String())
	require.ErrorContains(t, err, "password authentication failed")

	password, _ := mustParse(t, s.TCPURL("")).User.Password()
	require.NotContains(t, s.Description(), password)
}

func TestGivenDatabase_IsUsedAsItIs(t *testing.T) {
	t.Parallel()
	theirs := start(t, Config{TempRoot: folder(t), TCPAddr: "127.0.0.1:0"})
	execute(t, theirs.URL(""), "CREATE DATABASE app")

	s, err := Start(t.Context(), Config{DatabaseURL: theirs.TCPURL("app"), DataDir: "/nowhere"})
	require.NoError(t, err)
	require.Equal(t, "app", query(t, s.URL(""), "SELECT current_database()"))
	require.Equal(t, "postgres", query(t, s.URL("postgres"), "SELECT current_database()"))
	require.Contains(t, s.Description(), "nothing was started")
	password, _ := mustParse(t, theirs.TCPURL("")).User.Password()
	require.NotContains(t, s.Description(), password)
	require.Zero(t, s.PID())
	require.Empty(t, s.DataDir())

	stop(t, s)
	<-s.Done()
	require.Equal(t, "1", query(t, theirs.URL(""), "SELECT '1'"), "a given server is not stopped")
}

func TestGivenDatabase_ThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Config{DatabaseURL: "postgres://app:secret@127.0.0.1:1/app"})
	require.ErrorContains(t, err, `database "app" on 127.0.0.1:1 as app`)
	require.ErrorContains(t, err, "unset DATABASE_URL")
	require.NotContains(t, err.Error(), "secret")
}

func TestKeep_DataOpensAsSaid(t *testing.T) {
	t.Parallel()
	s := start(t, Config{TempRoot: folder(t)})
	execute(t, s.URL(""), "CREATE TABLE evidence AS SELECT 'found' AS it")
	dir, err := s.KeepData(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	command, err := s.OpenCommand(t.Context(), "postgres")
	require.NoError(t, err)
	stop(t, s)
	require.NoDirExists(t, s.DataDir())

	out, err := exec.CommandContext(t.Context(), "sh", "-c", command+" -Atc 'SELECT it FROM evidence'").CombinedOutput()
	pid := readPID(filepath.Join(dir, "pgdata", "postmaster.pid"))
	require.NotZero(t, pid, "%s", out)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGQUIT) })
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(bytes.TrimSpace(out)), "found")
}

func mustParse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u
}
