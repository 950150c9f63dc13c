package service_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestEndToEndInAllSurroundings runs end-to-end tests again, in each way to reach Postgres: two for
// a form of the URL, and six for a pooler, through which sessions and transactions go otherwise.
func TestEndToEndInAllSurroundings(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	require.Equal(t, servicetest.InSurroundings, t.Name())
	t.Parallel()
	for name := range servicetest.Surroundings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("removal", TestRemovalHoldsAtTheNextRequest)
			t.Run("roles", TestOldTokensFollowTheMirror)
			if !strings.HasPrefix(name, "pgbouncer") {
				return
			}
			t.Run("all", TestWholeProgram)
			t.Run("accounts", TestAccountsThatMayDoNothing)
			t.Run("invitation", TestWhoAcceptsAnInvitationIsInAtOnce)
			t.Run("deleted", TestDeletedOrganizationEndsAccessByItself)
		})
	}
}
