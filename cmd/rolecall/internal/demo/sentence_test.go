package demo

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestSentence_SaysOfAnEndWhatIsKnown: who left did so through Rolecall, and of an end without an
// actor Clerk doesn't say by whom.
func TestSentence_SaysOfAnEndWhatIsKnown(t *testing.T) {
	t.Parallel()
	called := names{"org_1": "Northwind", "user_ada": "Ada", "user_ben": "Ben"}
	for _, end := range []struct {
		action clerksync.Action
		actor  string
		said   string
	}{
		{clerksync.ActionMemberRemoved, "user_ada", "Ada removed Ben from Northwind"},
		{clerksync.ActionMemberRemoved, "", "Ben is no longer in Northwind"},
		{clerksync.ActionMemberLeft, "user_ben", "Ben left Northwind"},
	} {
		entry := support.Entry{}
		entry.Action, entry.Target, entry.OrganizationID = end.action, "user_ben", "org_1"
		if end.actor != "" {
			entry.Actor = &end.actor
		}
		require.Equal(t, end.said, sentence(entry, called))
	}
}
