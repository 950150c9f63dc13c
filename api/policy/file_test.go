package policy

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadFile_HangingFileSystemIsNotWaitedFor: a caller that gives up leaves the read behind,
// which can't be interrupted.
func TestReadFile_HangingFileSystemIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	reading, answers := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(answers) })
	read := make(chan error, 1)
	go func() {
		_, err := readWhile(ctx, func() (Policy, error) {
			close(reading)
			<-answers
			return Policy{}, nil
		})
		read <- err
	}()
	<-reading
	cancel()
	require.ErrorIs(t, <-read, context.Canceled)
}

// TestReadFile_TakesOnlyFilesThatEnd: it refuses pipes, devices and large files.
func TestReadFile_TakesOnlyFilesThatEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe, text, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "text"), filepath.Join(dir, "link")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.NoError(t, os.WriteFile(text, []byte("12345"), 0o600))
	require.NoError(t, os.Symlink(text, link)) // as Kubernetes mounts a ConfigMap
	for name, want := range map[string]string{
		pipe: "read " + pipe + ": it is not a regular file", dir: "it is not a regular file", "/dev/zero": "it is not a regular file",
		filepath.Join(dir, "none"): "no such file", text: "read " + text + ": it has more than 4 bytes",
	} {
		_, err := readRegularFile(name, 4)
		require.ErrorContains(t, err, want)
	}
	got, err := readRegularFile(link, 5)
	require.NoError(t, err)
	require.Equal(t, "12345", string(got))
}
