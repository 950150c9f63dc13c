package jobs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestAdmit_JudgesOnlyWhatWouldBeApplied: a delivery that ends in the inbox for another reason
// keeps its state and that reason.
func TestAdmit_JudgesOnlyWhatWouldBeApplied(t *testing.T) {
	t.Parallel()
	ignored := clerksync.Delivery{InstanceID: "ins_other", State: clerksync.StateIgnored}
	admit(&ignored, mirrortest.InstanceID)
	require.Equal(t, clerksync.StateIgnored, ignored.State)
	unreadable := clerksync.Delivery{InstanceID: "ins_other", State: clerksync.StateQuarantined, Reason: "no data object"}
	admit(&unreadable, mirrortest.InstanceID)
	require.Equal(t, "no data object", unreadable.Reason)
}
