package sweep

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
)

// TestSweep_LookUpsMakeNoPageStall: a page makes progress if its own objects are new, however many
// of them are looked up before the next page.
func TestSweep_LookUpsMakeNoPageStall(t *testing.T) {
	t.Parallel()
	const members = 2*maxStalls + 2
	b, d := setup(t), mirrortest.Populated(members)
	b.sweep(t, d, Options{})
	for n := range members {
		b.Deliver(t, mirrortest.Event(t, fmt.Sprintf("msg_%d", n), "organizationMembership.updated",
			9001, mirrortest.Membership(n, "org:guest", 9000)))
	}
	s, err := New(Config{Pool: b.Pool, Clerk: d, Logger: b.Logs.Logger(), Settle: time.Millisecond, PageSize: 2})
	require.NoError(t, err)
	report, err := s.Run(t.Context(), Options{TrustClerk: true})
	require.NoError(t, err)
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, members, report.Repaired)
}
