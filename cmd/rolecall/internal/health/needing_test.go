package health

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestNeeding_IsSaidOnlyOfAComparedMirror: no number is shown, nor a notice, before the first clean
// sweep, before the first round, and while another database may lack changes.
func TestNeeding_IsSaidOnlyOfAComparedMirror(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		change func(*Situation)
		known  bool
		detail string // of the notice; "" for none
	}{
		"judged":              {func(*Situation) {}, true, "3 workspaces have no member"},
		"a single workspace":  {func(s *Situation) { s.Needs.Counts[clerksync.NeedNoManager] = 1 }, true, "1 workspace has no member"},
		"none":                {func(s *Situation) { s.Needs.Counts = map[clerksync.Need]int64{} }, true, ""},
		"never swept":         {func(s *Situation) { s.LastClean = nil }, false, ""},
		"no round yet":        {func(s *Situation) { s.Needs = store.NeedsRound{} }, false, ""},
		"another database":    {func(s *Situation) { s.DatabaseChangedAt = at }, false, ""},
		"another one, before": {func(s *Situation) { s.DatabaseChangedAt = at.Add(-2 * time.Hour) }, true, "3 workspaces"},
	} {
		now := Situation{Status: store.Status{
			At: at, LastClean: &store.Sweep{StartedAt: at.Add(-time.Hour)},
			Needs: store.NeedsRound{EndedAt: at, Counts: map[clerksync.Need]int64{clerksync.NeedNoManager: 3, clerksync.NeedSingleManager: 9}},
		}}
		c.change(&now)
		require.Equal(t, c.known, now.needing() != nil, name)
		notice, is := now.noManager()
		require.Equal(t, c.detail != "", is, name)
		require.Contains(t, notice.Detail, c.detail, name)
	}
}
