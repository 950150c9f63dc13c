package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNodev_LeavesOutTheDemo: a binary with the tag nodev links no package that only dev needs.
func TestNodev_LeavesOutTheDemo(t *testing.T) {
	t.Parallel()
	list := func(args ...string) []string {
		out, err := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, args...)...).CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.Fields(string(out))
	}
	whole, production := list("."), list("-tags", "nodev", ".")
	require.Contains(t, production, "github.com/callmine/rolecall/cmd/rolecall/internal/service")
	for _, name := range []string{
		"github.com/callmine/rolecall/cmd/rolecall/internal/demo", "github.com/callmine/rolecall/internal/clerksim",
		"github.com/callmine/rolecall/cmd/rolecall/internal/playground", "github.com/callmine/rolecall/internal/simulator",
		"github.com/callmine/rolecall/cmd/rolecall/internal/simulate",
		"github.com/callmine/rolecall/internal/svixsim",
		"github.com/callmine/rolecall/internal/pgdev", "github.com/fergusstrange/embedded-postgres", "github.com/lib/pq", "github.com/xi2/xz",
	} {
		require.Contains(t, whole, name, "its name has changed")
		require.NotContains(t, production, name)
	}
}

// TestNodev_SaysWhatIsNotThere, and why.
func TestNodev_SaysWhatIsNotThere(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "rolecall")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "nodev", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, command := range []string{"dev", "simulate"} {
		out, err := exec.CommandContext(t.Context(), binary, command).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "rolecall: this binary was built without "+command)
		out, err = exec.CommandContext(t.Context(), binary, command, "--help").CombinedOutput()
		require.NoError(t, err)
		require.Contains(t, string(out), "--seed", "its help stays")
	}
}
