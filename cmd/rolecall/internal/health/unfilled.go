package health

import (
	"context"
	"errors"
	"time"

	"github.com/callmine/rolecall/store"
)

// Unfilled reports whether the mirror still waits for its first sweep.
func Unfilled(ctx context.Context, db store.DBTX, sweepsEvery time.Duration) (bool, error) {
	if sweepsEvery <= 0 {
		return false, nil
	}
	now := Situation{sweepsEvery: sweepsEvery}
	clean, err := store.LastCleanSweep(ctx, db)
	if errors.Is(err, store.ErrNotFound) { // a complete sweep has filled the mirror, too
		if clean, err = store.LastSweep(ctx, db); err == nil && !clean.WentThrough() {
			err = store.ErrNotFound
		}
	}
	if err == nil {
		now.LastClean = &clean
	}
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return HasAlarm(now.Alarms(), AlarmNeverSwept), err
}
