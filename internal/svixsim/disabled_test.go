package svixsim_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
)

// TestEndpoint_EnabledAgainRecovers is the whole story. A receiver fails for five days, is disabled
// silently, and misses messages. It gets them after an operator enabled it and replayed them.
func TestEndpoint_EnabledAgainRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		box := &inbox{statuses: []int{204, 500}}
		courier := newCourier(t, box, svixsim.CourierConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { require.ErrorIs(t, courier.Run(ctx, w), context.Canceled) })
		defer running.Wait()
		defer cancel()

		began := time.Now()
		u := createUser(t, w)
		synctest.Wait()
		require.Empty(t, courier.Missed(0))
		for range 10 { // a user is banned and unbanned every day, and no message arrives
			synctest.Wait()
			if courier.Disabled(0) {
				break
			}
			_, err := w.BanUser(u.ID)
			require.NoError(t, err)
			<-time.After(24 * time.Hour) // on the bubble's clock
		}
		<-courier.TurnedOff(0)
		require.InDelta(t, 5*24, time.Since(began).Hours(), 24)
		attempts := len(box.all())
		_, err := w.UnbanUser(u.ID)
		require.NoError(t, err)
		<-time.After(48 * time.Hour) // on the bubble's clock
		synctest.Wait()
		require.Len(t, box.all(), attempts, "it gets nothing more")
		missed := courier.Missed(0)
		require.Contains(t, string(missed[len(missed)-1].Body), `"banned":false`)

		results, err := courier.Recover(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, svixsim.Disabled, results[0].Outcome, "it has to be enabled first")
		box.answer(204)
		courier.Enable(0)
		require.False(t, closed(courier.TurnedOff(0)))
		results, err = courier.Recover(t.Context(), 0)
		require.NoError(t, err)
		require.Len(t, results, len(missed))
		for i, got := range box.all()[attempts:] {
			require.Equal(t, svixsim.Delivered, results[i].Outcome)
			require.Equal(t, missed[i].ID, got.id(), "in the order in which it missed them")
		}
		require.Empty(t, courier.Missed(0))
	})
}

func TestMissed_UnacknowledgedMessagesOnly(t *testing.T) {
	t.Parallel()
	box := &inbox{statuses: []int{500, 204, 500}}
	courier := newCourier(t, box, svixsim.CourierConfig{})
	for _, id := range []string{"msg_1", "msg_2", "msg_2"} {
		_, err := courier.Send(t.Context(), message(id))
		require.NoError(t, err)
	}
	require.Equal(t, []clerksim.Message{message("msg_1")}, courier.Missed(0), "a repeat that fails changes nothing")
	results, err := courier.Recover(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, svixsim.Failed, results[0].Outcome)
	require.Len(t, courier.Missed(0), 1, "what fails again stays missed")
	courier.Disable(0)
	played, err := courier.Play(t.Context(), svixsim.InOrder(message("msg_3")))
	require.NoError(t, err)
	require.Equal(t, svixsim.Disabled, played[0].Outcome)
	require.Equal(t, []clerksim.Message{message("msg_1"), message("msg_3")}, courier.Missed(0))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	courier.Enable(0)
	_, err = courier.Recover(ctx, 0)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, courier.Missed(0), 2)
}

func TestMissed_FailedRepeatOfAcknowledgedIsNone(t *testing.T) {
	t.Parallel()
	courier := newCourier(t, &inbox{statuses: []int{500, 204, 500}}, svixsim.CourierConfig{})
	for range 3 {
		_, err := courier.Send(t.Context(), message("msg_1"))
		require.NoError(t, err)
	}
	require.Empty(t, courier.Missed(0))
}

func closed(signal <-chan struct{}) bool {
	select {
	case <-signal:
		return true
	default:
		return false
	}
}
