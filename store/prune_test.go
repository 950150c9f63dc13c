package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestPruneBodies_WaitingAndSetAsideKeepTheirBodies(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	insert(t, db, delivery("msg_1", "{}", clerksync.StateReceived), delivery("msg_2", "{}", clerksync.StateQuarantined),
		delivery("msg_3", "{}", clerksync.StateApplied), delivery("msg_4", "{}", clerksync.StateIgnored))
	far := time.Now().Add(1000 * time.Hour)
	var place store.Place
	for _, want := range []int{1, 1, 0} {
		pruned, err := store.PruneBodies(t.Context(), db, &place, far, 1)
		require.NoError(t, err)
		require.Equal(t, want, pruned)
	}
	for id, kept := range map[string]bool{"msg_1": true, "msg_2": true, "msg_3": false, "msg_4": false} {
		e, err := store.FindLedgerRow(t.Context(), db, id)
		require.NoError(t, err)
		require.Equal(t, kept, e.Body != nil, id)
	}
}
