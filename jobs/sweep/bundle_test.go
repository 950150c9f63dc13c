package sweep

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
)

// bundle is a database of one test, with sweepers of it.
type bundle struct{ *mirrortest.DB }

func setup(t *testing.T) *bundle {
	t.Helper()
	return &bundle{mirrortest.New(t)}
}

// sweeper returns a sweeper of the directory into the bundle's database.
func (b *bundle) sweeper(t *testing.T, d Clerk) *Sweeper {
	t.Helper()
	s, err := New(Config{Pool: b.Pool, Clerk: d, Logger: b.Logs.Logger(), Settle: 50 * time.Millisecond, ApplyWait: time.Millisecond})
	require.NoError(t, err)
	return s
}

// counts are the numbers of a report that say what differed, and what was repaired.
type counts struct{ Missing, Stale, Extra, Behind, Repaired, Added, Updated, Removed int }

func countsOf(r Report) counts {
	return counts{
		Missing: r.Missing, Stale: r.Stale, Extra: r.Extra, Behind: r.Behind,
		Repaired: r.Repaired, Added: r.Added, Updated: r.Updated, Removed: r.Removed,
	}
}

// sweep sweeps once, which must succeed.
func (b *bundle) sweep(t *testing.T, d Clerk, opts Options) Report {
	t.Helper()
	var report Report
	var err error
	mirrortest.Eventually(t, func() bool { // Postgres takes a moment to see that the connection of an interrupted sweep is gone
		report, err = b.sweeper(t, d).Run(t.Context(), opts)
		return !errors.Is(err, ErrRunning)
	})
	require.NoError(t, err)
	return report
}
