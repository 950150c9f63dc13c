package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReadMoment(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 10, 15, 4, 5, 0, time.FixedZone("", -9*60*60)) // the 11th in UTC
	for text, want := range map[string]string{
		"90m": "2026-03-10T22:34:05Z", "7d": "2026-03-04T00:04:05Z", "2w": "2026-02-25T00:04:05Z", "0s": "2026-03-11T00:04:05Z",
		"today": "2026-03-11T00:00:00Z", "yesterday": "2026-03-10T00:00:00Z", "2025-09-30": "2025-09-30T00:00:00Z",
		"2025-09-30T12:00:00+02:00": "2025-09-30T10:00:00Z",
	} {
		at, err := readMoment(text, now)
		require.NoError(t, err, text)
		require.Equal(t, want, at.UTC().Format(time.RFC3339), text)
	}
	for _, text := range []string{"", "-7d", "-1h", "last week", "7", "2025-13-01", "2025-09-30T12:00:00"} {
		_, err := readMoment(text, now)
		require.ErrorContains(t, err, "is no instant: write an age", text)
	}
}
