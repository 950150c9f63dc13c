package bench_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// atPace lets callers do something so often in a second, for a while. It returns in order how many
// milliseconds after its time each was done. So a caller that is held up counts what it
// couldn't begin, unlike one in a closed loop.
func atPace(b *testing.B, callers int, each time.Duration, length time.Duration, do func(caller int) error) (took []float64, err error) {
	b.Helper()
	all, errs := make([][]float64, callers), make([]error, callers)
	began := time.Now()
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			begin := began.Add(each * time.Duration(i) / time.Duration(callers)) // not all at once
			for due := begin; errs[i] == nil && due.Sub(began) < length; due = due.Add(each) {
				waitUntil(b.Context(), due)
				errs[i] = do(i)
				all[i] = append(all[i], float64(time.Since(due).Microseconds())/1000)
			}
		})
	}
	group.Wait()
	return slices.Sorted(slices.Values(slices.Concat(all...))), errors.Join(errs...)
}

// waitUntil returns at an instant, or at once if it has passed.
func waitUntil(ctx context.Context, due time.Time) {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
