package pgdev

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOwner_KilledTakesTheServerAlong(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "data")
	o := runOwner(t, dir)
	pid, _, url := o.ready(t)
	execute(t, url, "CREATE TABLE committed AS SELECT 'yes' AS answer")

	o.kill()
	s := start(t, Config{DataDir: dir}) // at once, however far the old server is
	requireGone(t, pid)
	require.Equal(t, "yes", query(t, s.URL(""), "SELECT answer FROM committed"))
}

func TestOwner_TemporaryFoldersOfTheDeadAreSwept(t *testing.T) {
	t.Parallel()
	root := folder(t)
	dead, living := runOwner(t, "temp:"+root), runOwner(t, "temp:"+root)
	deadPID, deadDir, _ := dead.ready(t)
	_, livingDir, livingURL := living.ready(t)
	dead.kill()
	requireGone(t, deadPID) // the kernel ends it by itself
	require.DirExists(t, deadDir)

	start(t, Config{TempRoot: root})
	require.NoDirExists(t, deadDir)
	require.DirExists(t, livingDir)
	require.Equal(t, "1", query(t, livingURL, "SELECT '1'"))
}

func TestOwner_KilledWhileCreatingTheCluster(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "data")
	o := runOwner(t, dir)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, partialName, "PG_VERSION"))
		return err == nil
	}, 20*time.Second, time.Millisecond)
	o.kill()
	require.NoDirExists(t, filepath.Join(dir, pgdataName), "killed too late to show anything")

	s := start(t, Config{DataDir: dir})
	require.Equal(t, "1", query(t, s.URL(""), "SELECT '1'"))
	require.NoDirExists(t, filepath.Join(dir, partialName))
}

// An owner that dies on a system without parent-death signals leaves an orphan. The test makes one
// by starting a server without an owner.
func TestOwner_OrphanIsEnded(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "data")
	first := start(t, Config{DataDir: dir})
	pid := first.PID()
	// Release the folder as death would, with the server still running.
	require.NoError(t, first.cluster.server.release())
	require.NoError(t, first.cluster.owner.release())
	first.process.stopping.Store(true)

	acct, err := chooseAccount()
	require.NoError(t, err)
	_, err = tryExistingLock(filepath.Join(dir, serverLockName))
	require.ErrorIs(t, err, errLocked, "the server itself holds this one")
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP)) // so that it can't end by itself
	c := &cluster{place: place{dir: dir}, acct: acct}
	go func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	lock, err := c.awaitPredecessor(t.Context())
	require.NoError(t, err)
	require.NoError(t, lock.release())
	<-first.Done()
	requireGone(t, pid)
	first.stopOnce.Do(func() {}) // its locks are released already
}

// TestStart_AsOrdinaryUser runs the tests of this file and of server_test.go once more as nobody,
// when they run as root.
func TestStart_AsOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("the whole run is as an ordinary user already") //nolint:forbidigo // nothing is left to check
	}
	dir, err := os.MkdirTemp("", "pgdev-test-") //nolint:usetesting // others must enter it, on disk: memory may be mounted noexec
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	binary := filepath.Join(dir, "pgdev.test")
	copyFile(t, os.Args[0], binary)

	const nobody = 65534
	cmd := exec.CommandContext(t.Context(), binary, "-test.count=1", "-test.v",
		"-test.run=^(TestStart_AndStop|TestStart_DataSurvives|TestOwner_KilledTakesTheServerAlong|TestOwner_TemporaryFoldersOfTheDeadAreSwept|"+
			"TestKeep_DataOpensAsSaid|TestFind_FetchedBinariesAreReused)$")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, 6, strings.Count(string(out), "--- PASS"), "%s", out)
}

func TestStart_RootsPrivateFolderIsReplaced(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root starts servers as somebody else") //nolint:forbidigo // CI runs as root
	}
	asked := filepath.Join(t.TempDir(), "data") // t.TempDir is root's alone
	s := start(t, Config{DataDir: asked})
	t.Cleanup(func() { _ = os.RemoveAll(s.DataDir()) })
	require.Equal(t, rootDataDir, filepath.Dir(s.DataDir()))
	require.Contains(t, s.Description(), "instead of "+asked)
	require.Equal(t, "1", query(t, s.URL(""), "SELECT '1'"))
	first := s.DataDir()
	stop(t, s)
	require.Equal(t, first, start(t, Config{DataDir: asked}).DataDir(), "the same folder again")
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	// cp runs in a process of its own. A process that another test starts meanwhile would inherit
	// the file open for writing, and such a file can't be run.
	out, err := exec.CommandContext(t.Context(), "cp", from, to).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Chmod(to, 0o755))
}
