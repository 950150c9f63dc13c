package store_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
)

func TestShares_OfOneOrganizationAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shares := store.NewShares(2)
		take := func(id string) func() {
			release, err := shares.Take(t.Context(), id)
			require.NoError(t, err)
			return release
		}
		first, second := take("org_a"), take("org_a")
		third := make(chan func(), 1)
		go func() { third <- take("org_a") }()
		synctest.Wait()
		require.Empty(t, third, "two are under way")
		take("org_b")()
		first()
		synctest.Wait()
		require.Len(t, third, 1)

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := shares.Take(ended, "org_a")
		require.ErrorIs(t, err, context.Canceled)
		second()
		(<-third)()
		take("org_a")()
		var none *store.Shares
		release, err := none.Take(ended, "org_a")
		require.NoError(t, err)
		release()
	})
}
