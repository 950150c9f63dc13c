package main

import (
	"os/exec"
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
		"github.com/callmine/rolecall/internal/svixsim",
		"github.com/callmine/rolecall/internal/pgdev", "github.com/fergusstrange/embedded-postgres", "github.com/lib/pq", "github.com/xi2/xz",
	} {
		require.Contains(t, whole, name, "its name has changed")
		require.NotContains(t, production, name)
	}
}

// TestNodev_SaysThatDevIsNotThere, and why.
func TestNodev_SaysThatDevIsNotThere(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "run", "-tags", "nodev", ".", "dev").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "rolecall: this binary was built without dev")
}
