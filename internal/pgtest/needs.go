package pgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// NeedsProgram skips a test that needs a program which isn't installed; in CI it fails.
func NeedsProgram(t testing.TB, name string) {
	t.Helper()
	FindProgram(t, name)
}

// NeedsNode skips a test that needs Node 20 or newer; in CI it fails without one.
func NeedsNode(t testing.TB) {
	t.Helper()
	const least = 20
	printed, err := exec.CommandContext(t.Context(), FindProgram(t, "node"), "-p", "parseInt(process.versions.node)").Output() //nolint:gosec // the path is Node's
	require.NoError(t, err)
	if major, err := strconv.Atoi(strings.TrimSpace(string(printed))); err != nil || major < least {
		Lacks(t, "Node 20.9 or newer")
	}
}

// FindProgram returns the path of a program. Without it, the test is skipped, and fails in CI.
func FindProgram(t testing.TB, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	Lacks(t, name)
	return ""
}

// ClientProgram returns the path of one of Postgres' programs for clients, such as pg_dump, which
// suits the server of [URL]: that of the server's own installation comes first, because one of an
// older version refuses the server. Without it, the test is skipped, and fails in CI.
func ClientProgram(t testing.TB, name string) string {
	t.Helper()
	return clientProgram(t, running(t).fast.running(t).BinDir(), name)
}

func clientProgram(t testing.TB, binDir, name string) string {
	t.Helper()
	if path := filepath.Join(binDir, name); binDir != "" { // it isn't known of a server that was given
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return FindProgram(t, name)
}

// Lacks ends a test that needs something which isn't installed: it is skipped, and fails in CI.
func Lacks(t testing.TB, name string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s isn't installed: .ci/run shows how", name)
	}
	t.Skipf("%s isn't installed: .ci/run shows how", name) //nolint:forbidigo // the agreed exception: in CI it fails
}
