package regular_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/regular"
)

// TestRead_TakesOnlyFilesThatEnd: it refuses pipes, devices and large files, without their names.
func TestRead_TakesOnlyFilesThatEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe, text, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "text"), filepath.Join(dir, "link")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.NoError(t, os.WriteFile(text, []byte("12345"), 0o600))
	require.NoError(t, os.Symlink(text, link)) // as Kubernetes mounts a ConfigMap
	for name, want := range map[string]string{
		pipe: "it is not a regular file", dir: "it is not a regular file", "/dev/zero": "it is not a regular file",
		filepath.Join(dir, "none"): "no such file or directory", text: "it has more than 4 bytes",
	} {
		_, err := regular.Read(name, 4)
		require.EqualError(t, err, want)
	}
	got, err := regular.Read(link, 5)
	require.NoError(t, err)
	require.Equal(t, "12345", string(got))
}
