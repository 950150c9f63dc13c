package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "0": 0, "7d": 168 * time.Hour, "2w": 336 * time.Hour, "1d12h": 36 * time.Hour,
		"1w1d1h1m1s": 193*time.Hour + time.Minute + time.Second, "106751d": 106751 * 24 * time.Hour, "-1h": -time.Hour,
	} {
		got, err := ParseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{
		"", "7", "d", "-7d", "7d-1h", "7d7", "1h1d", "1d1w", "1.5d", "106752d", "106751d24h", "99999999999999999999w", "yesterday", "7D", " 7d", "7d\n",
	} {
		_, err := ParseDuration(text)
		require.Error(t, err, "%q", text)
	}
	rapid.Check(t, func(r *rapid.T) { // whatever Go prints is read again
		d := time.Duration(rapid.Int64().Draw(r, "d"))
		got, err := ParseDuration(d.String())
		require.NoError(r, err)
		require.Equal(r, d, got)
	})
}
