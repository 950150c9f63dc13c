package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// readyPatience is how long the mirror may take to follow the simulated Clerk: a hundred times
	// what it takes.
	readyPatience = 30 * time.Second
	// readyInterval is how often the service is asked. It gives no signal.
	readyInterval = 5 * time.Millisecond
)

// awaitReady waits until the mirror has been compared with the simulated Clerk.
func (d *Demo) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyPatience, errors.New("the mirror did not follow the simulated Clerk in time"))
	defer cancel()
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.Admin+"/readyz", http.NoBody)
		if err != nil {
			return fmt.Errorf("ask whether the service is ready: %w", err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close() // nothing was read
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the service: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
