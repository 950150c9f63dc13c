package service_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestEndToEnd_InAllSurroundings runs end-to-end tests again, in each way of reaching Postgres: two
// tests for a form of the URL, and six for a pooler, which changes sessions and transactions.
func TestEndToEnd_InAllSurroundings(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	require.Equal(t, servicetest.InSurroundings, t.Name())
	t.Parallel()
	for name := range servicetest.Surroundings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("removal", TestPromise_RemovalHoldsAtTheNextRequest)
			t.Run("roles", TestEndToEnd_OldTokensFollowTheMirror)
			if !strings.HasPrefix(name, "pgbouncer") {
				return
			}
			t.Run("all", TestEndToEnd_WholeProgram)
			t.Run("accounts", TestEndToEnd_BarredAccountsAreRefused)
			t.Run("invitation", TestPromise_AcceptedInvitationAdmitsAtOnce)
			t.Run("deleted", TestEndToEnd_DeletedOrganizationEndsAccess)
		})
	}
}
