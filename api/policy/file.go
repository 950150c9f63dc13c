package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	// maxFile bounds the file, in bytes, far above any policy: a Clerk instance has at most ten
	// roles of its own. Keys and nesting are bounded, too, so that parsing takes at most a second.
	maxFile = 256 << 10
	// readTimeout bounds one reading of the file. Reading takes a millisecond, but a network file
	// system may never answer.
	readTimeout = 10 * time.Second
)

// ReadFile reads the policy in a file. It ends with ctx at the latest.
func ReadFile(ctx context.Context, name string) (Policy, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return readWhile(ctx, func() (Policy, error) {
		text, err := readRegularFile(name, maxFile)
		if err != nil {
			return Policy{}, err
		}
		return Parse(name, text)
	})
}

// readWhile returns the result of read, or an error as soon as ctx ends. It leaves a hanging read
// behind, because that can't be interrupted and the process must be able to stop.
func readWhile(ctx context.Context, read func() (Policy, error)) (Policy, error) {
	var policy Policy
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		policy, err = read()
	}()
	select {
	case <-done:
		return policy, err
	case <-ctx.Done():
		return Policy{}, fmt.Errorf("read policy: %w", ctx.Err())
	}
}

// readRegularFile reads a regular file of at most limit bytes. It refuses pipes and devices, which
// may have no end.
func readRegularFile(name string, most int64) (text []byte, err error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names it; without O_NONBLOCK, opening a pipe waits for a writer
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: it is not a regular file", name)
	}
	if text, err = io.ReadAll(io.LimitReader(file, most+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("read %s: it has more than %d bytes", name, most)
	}
	return text, nil
}
