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
	clean, err := LastThrough(ctx, db)
	if err == nil {
		now.LastClean = &clean
	}
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return HasAlarm(now.Alarms(), AlarmNeverSwept), err
}

// LastThrough returns the newest clean sweep. Without one it returns the newest sweep if that went
// through, because it has filled the mirror, too. Otherwise it returns [store.ErrNotFound].
func LastThrough(ctx context.Context, db store.DBTX) (store.Sweep, error) {
	last, err := store.LastCleanSweep(ctx, db)
	if !errors.Is(err, store.ErrNotFound) {
		return last, err
	}
	if last, err = store.LastSweep(ctx, db); err == nil && !last.WentThrough() {
		err = store.ErrNotFound
	}
	return last, err
}
