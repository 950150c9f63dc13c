package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/internal/regular"
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
		text, err := regular.Read(name, maxFile)
		if err != nil {
			return Policy{}, fmt.Errorf("read %s: %w", name, err)
		}
		return Parse(name, text)
	})
}

// readWhile returns the result of read, or an error as soon as ctx ends. It leaves a hanging read
// behind, because that can't be interrupted and the process must be able to stop.
func readWhile[T any](ctx context.Context, read func() (T, error)) (T, error) {
	var result, none T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, err = read()
	}()
	select {
	case <-done:
		return result, err
	case <-ctx.Done():
		return none, fmt.Errorf("read file: %w", ctx.Err())
	}
}
