package policy

import (
	"context"
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
