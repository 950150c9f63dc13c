package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// inRepository returns the path of a file that is named from the root of the module.
func inRepository(t testing.TB, name string) string {
	t.Helper()
	root, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return filepath.Join(root, filepath.FromSlash(name))
		}
		above := filepath.Dir(root)
		require.NotEqual(t, root, above, "no go.mod above the working directory")
		root = above
	}
}
