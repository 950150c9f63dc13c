package service_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/store"
)

// TestPresence_MeasuresWebhooksAndQuestions of a whole service. A process that ended isn't shown
// any more; what it did is.
func TestPresence_MeasuresWebhooksAndQuestions(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	user, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	workspace, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: user.ID})
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	require.Equal(t, http.StatusOK, b.May(t, b.Token(t, user.ID), workspace.ID, "billing:manage"))
	require.Equal(t, http.StatusForbidden, b.May(t, b.Token(t, user.ID), workspace.ID, "nothing:do"))

	var running []store.Process
	servicetest.Eventually(t, func() bool {
		running, err = store.Processes(t.Context(), b.DB)
		return err == nil && len(running) == 1 && running[0].Leads // River's leader has the same id
	}, "the process leads")
	require.True(t, running[0].Web && running[0].Workers)
	require.False(t, running[0].Sweeps, "it has no secret key")
	require.Nil(t, running[0].Clerk)

	require.NoError(t, b.Service.Stop(context.WithoutCancel(t.Context())))
	running, err = store.Processes(t.Context(), b.DB)
	require.NoError(t, err)
	require.Empty(t, running)
	minutes, err := store.Minutes(t.Context(), b.DB, time.Now().Add(-time.Hour))
	require.NoError(t, err)
	var sum store.Measurement
	for _, m := range minutes {
		sum = sum.Plus(m.Measurement)
	}
	var deliveries int64
	require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.deliveries").Scan(&deliveries))
	require.Equal(t, deliveries, *sum.Accepted)
	require.Equal(t, deliveries, *sum.Applied)
	require.EqualValues(t, 2, *sum.Questions)
	require.EqualValues(t, 1, *sum.Refused)
	require.Greater(t, sum.Longest, 100*time.Microsecond, "it takes a commit and a transaction")
	require.Less(t, sum.Longest, 20*time.Second)
}
