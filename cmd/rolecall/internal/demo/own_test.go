package demo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOwn_SweepsAtMostATenthOfTheTime, and each minute if that is less.
func TestOwn_SweepsAtMostATenthOfTheTime(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]time.Duration{
		0: time.Minute, 6 * time.Second: time.Minute, 7 * time.Second: 70 * time.Second, 10 * time.Minute: 100 * time.Minute,
	} {
		require.Equal(t, want, sweepsEvery(took))
	}
}
