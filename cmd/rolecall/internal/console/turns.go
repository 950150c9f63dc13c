package console

import (
	"context"
	"time"
)

const (
	// maxReaders is how many requests use the database at the same time, if the console's pool has as
	// many connections.
	maxReaders = 2
	// turnTime is how long a request waits for its turn.
	turnTime = 2 * time.Second
)

// turns bounds the requests that use the database.
type turns chan struct{}

// newTurns returns the turns of a pool. A pool that the console shares is left to the others.
func newTurns(connections int32) turns { return make(turns, max(1, min(maxReaders, connections))) }

// take waits for a turn. The caller must call done. The error is errBusy if there is none in time.
func (t turns) take(ctx context.Context) (done func(), err error) {
	timer := time.NewTimer(turnTime)
	defer timer.Stop()
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-timer.C:
		return nil, errBusy
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
