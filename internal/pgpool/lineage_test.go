package pgpool

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func shows(system string, timeline uint32, flushed uint64) seen {
	return seen{identity: Identity{System: system, Timeline: timeline}, flushed: flushed}
}

func TestLineage(t *testing.T) {
	t.Parallel()
	const far = 1 << 30
	for name, tt := range map[string]struct {
		before, now seen
		follows     bool
		changed     bool
		refused     Reason
	}{
		"the same":                            {before: shows("1", 1, far), now: shows("1", 1, far+5)},
		"a promotion":                         {before: shows("1", 1, far), now: shows("1", 2, far-5), changed: true},
		"a promotion that a follower shows":   {before: shows("1", 1, far), now: shows("1", 2, far), follows: true, changed: true},
		"an old primary":                      {before: shows("1", 2, far), now: shows("1", 1, far+5), refused: ReasonOlderTimeline},
		"another cluster":                     {before: shows("1", 2, far), now: shows("2", 1, 5), changed: true},
		"another cluster that follows":        {before: shows("1", 2, far), now: shows("2", 7, far), follows: true, refused: ReasonOtherSystem},
		"a backup in its place":               {before: shows("1", 1, far), now: shows("1", 1, far-2*torn), changed: true},
		"a crash in the middle of a record":   {before: shows("1", 1, far), now: shows("1", 1, far-torn/2)},
		"a server that doesn't tell":          {before: shows("1", 1, far), now: shows("", 0, 0)},
		"one that tells the timeline only":    {before: shows("1", 1, far), now: shows("", 1, far)},
		"a promotion without the system":      {before: shows("1", 1, far), now: shows("", 2, far), changed: true},
		"the first, which knew only a system": {before: shows("1", 0, 0), now: shows("1", 3, far)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes := 0
			l := NewLineage(func(Change) { changes++ })
			l.Learn(tt.before.identity)
			first, err := l.observe(nil, tt.before, floor{}, true)
			require.NoError(t, err)
			second, err := l.observe(nil, tt.now, l.floor(), !tt.follows)
			if tt.refused != "" {
				refused, ok := errors.AsType[*RefusedError](err)
				require.True(t, ok)
				require.Equal(t, tt.refused, refused.Reason)
				require.True(t, l.current(first))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.changed, changes == 1)
			require.Equal(t, tt.changed, !l.current(first))
			require.True(t, l.current(second))
		})
	}
}

// TestLineage_FollowersTellNothingFirst: sessions of the URL for writes decide which cluster is
// right.
func TestLineage_FollowersTellNothingFirst(t *testing.T) {
	t.Parallel()
	l := NewLineage(func(Change) { t.Error("no change") })
	_, err := l.observe(nil, shows("2", 9, 5), floor{}, false)
	require.NoError(t, err)
	_, err = l.observe(nil, shows("1", 1, 5), floor{}, true)
	require.NoError(t, err)
	known := l.Known()
	require.Equal(t, Identity{System: "1", Timeline: 1}, known)
}

// TestLineage_SessionsOpenedAtOnceInAFailover cause one change, although each was compared with the
// old server.
func TestLineage_SessionsOpenedAtOnceInAFailover(t *testing.T) {
	t.Parallel()
	changes := 0
	l := NewLineage(func(Change) { changes++ })
	_, err := l.observe(nil, shows("1", 1, 1<<30), floor{}, true)
	require.NoError(t, err)
	least := l.floor()
	for range 3 {
		_, err = l.observe(nil, shows("1", 2, 1<<20), least, true)
		require.NoError(t, err)
	}
	require.Equal(t, 1, changes)
}
