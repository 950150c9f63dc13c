package pgdev

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// ownerEnv makes the test binary play the owner of a server: its value is the data folder, or
// "temp:" and the folder in which the temporary one is made.
const ownerEnv = "PGDEV_TEST_OWNER"

func TestMain(m *testing.M) {
	if role := os.Getenv(ownerEnv); role != "" {
		playOwner(role)
	}
	goleak.VerifyTestMain(m)
}

// playOwner starts a server, prints its postmaster's id and data folder, and waits to be killed.
func playOwner(role string) {
	cfg := Config{DataDir: role, Settings: fast()}
	if root, ok := strings.CutPrefix(role, "temp:"); ok {
		cfg.DataDir, cfg.TempRoot = "", root
	}
	s, err := Start(context.Background(), cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, s.PID(), s.DataDir(), s.URL(""))
	<-s.Done()
	os.Exit(1)
}

// owner is a process that owns a server, to be killed.
type owner struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
}

func runOwner(t *testing.T, role string) *owner {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), ownerEnv+"="+role)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	o := &owner{cmd: cmd, stdout: bufio.NewReader(stdout)}
	t.Cleanup(o.kill)
	return o
}

// ready waits for the owner's server.
func (o *owner) ready(t *testing.T) (pid int, dataDir, url string) {
	t.Helper()
	line, err := o.stdout.ReadString('\n')
	require.NoError(t, err)
	fields := strings.Fields(line)
	require.Len(t, fields, 3)
	pid, err = strconv.Atoi(fields[0])
	require.NoError(t, err)
	return pid, fields[1], fields[2]
}

func (o *owner) kill() {
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
}

// fast are the settings of every server here that needn't survive the machine.
func fast() map[string]string {
	return map[string]string{"fsync": "off", "shared_buffers": "16MB"}
}

// folder makes a temporary folder that any account can enter, in memory if there is room. Other
// accounts can't enter the folders of testing.T.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(MemoryDir(2<<30), "pgdev-test-") //nolint:usetesting // see above
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	if cfg.Settings == nil {
		cfg.Settings = fast()
	}
	s, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(t, s.Stop(ctx))
}

// query runs one statement on a connection of its own and returns its only value.
func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	var out string
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&out))
	return out
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// requireGone checks that the process has ended. A process that lost its owner is reaped by process
// 1, late or, in some containers, never. So a zombie counts as gone.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		stat, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		return bytes.Contains(stat, []byte(") Z ")) || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}, 10*time.Second, 5*time.Millisecond, "process %d still runs", pid)
}

// realBinDir is an installation of this machine, for tests that need one at an unusual place.
func realBinDir(t *testing.T) string {
	t.Helper()
	acct, err := chooseAccount()
	require.NoError(t, err)
	s := &search{env: os.Getenv, globs: newSearch(nil).globs, fetch: noFetch}
	inst, err := s.find(t.Context(), acct, 0)
	require.NoError(t, err)
	dir, err := filepath.EvalSymlinks(inst.binDir)
	require.NoError(t, err)
	return dir
}
