package bounded

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
)

func TestLimiter_LimitsEachKey(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	limiter := NewLimiter(2, 10*time.Second, func() time.Time { return now })
	require.True(t, limiter.Allow("a"))
	require.True(t, limiter.Allow("a"))
	require.False(t, limiter.Allow("a"))
	require.True(t, limiter.Allow("b"), "another key has its own share")
	now = now.Add(5 * time.Second)
	require.True(t, limiter.Allow("a"), "half the burst is back after half the window")
	require.False(t, limiter.Allow("a"))
}

func TestLimiter_IsBounded(t *testing.T) {
	t.Parallel()
	limiter := NewLimiter(2, time.Second, time.Now)
	limiter.keys = NewMap[string, *rate.Limiter](10)
	for i := range 30 {
		require.True(t, limiter.Allow(strconv.Itoa(i)))
		require.LessOrEqual(t, limiter.keys.Len(), 10)
	}
}
