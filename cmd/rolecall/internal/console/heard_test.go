package console

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHeard_TellsABusyServiceSeldom: at a service where something changes all the time, open pages
// are read again every few seconds. After a quiet while, a change is told at once.
func TestHeard_TellsABusyServiceSeldom(t *testing.T) {
	t.Parallel()
	var h heard
	now := time.Unix(1_000_000, 0)
	told := 0
	look := func(pulse string, err error) string {
		now = now.Add(lookEvery)
		return h.event(pulse, err, now)
	}
	for i := range 60 {
		if look(strconv.Itoa(i), nil) == "changed" {
			told++
		}
	}
	require.Equal(t, 20, told, "of 60 looks, every third")
	for range 3 {
		look("59", nil) // the last change is told
	}
	require.Empty(t, look("59", nil), "nothing changed")
	require.Equal(t, "changed", look("quiet until now", nil))
	require.Equal(t, "away", look("", errors.New("the database is away")))
	require.Equal(t, "changed", look("quiet until now", nil), "it is back")
	require.Empty(t, look("another", errBusy))
	for range tellEvery/lookEvery - 1 {
		require.Empty(t, look("quiet until now", nil))
	}
	require.Equal(t, "changed", look("quiet until now", nil), "ages on the page grow")
}
