package svixsim_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/svixsim"
)

func TestRun_DeliversWhatHappens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		box := &inbox{statuses: []int{500, 204}}
		courier := newCourier(t, box, svixsim.CourierConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		var ended error
		var running sync.WaitGroup
		running.Go(func() { ended = courier.Run(ctx, w) })

		u := createUser(t, w)
		synctest.Wait()
		require.Len(t, box.all(), 1)
		createOrganization(t, w, u.ID)
		synctest.Wait()
		require.Len(t, box.all(), 3, "the first one's retry keeps nobody waiting")
		<-time.After(5 * time.Second) // on the bubble's clock
		synctest.Wait()
		require.Len(t, box.all(), 4)
		require.Equal(t, box.all()[0].id(), box.all()[3].id())

		cancel()
		running.Wait()
		require.ErrorIs(t, ended, context.Canceled)
	})
}

func TestRun_EndsWhileRetriesAreDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		courier := newCourier(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusInternalServerError)
		}), svixsim.CourierConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		createUser(t, w)
		require.ErrorIs(t, courier.Run(ctx, w), context.DeadlineExceeded)
	})
}

func TestRun_LimitsConcurrentDeliveries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var mu sync.Mutex
		underWay, most, total := 0, 0, 0
		courier := newCourier(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			underWay++
			total++
			most = max(most, underWay)
			mu.Unlock()
			<-time.After(time.Second) // on the bubble's clock
			mu.Lock()
			underWay--
			mu.Unlock()
		}), svixsim.CourierConfig{})
		for range 100 {
			createUser(t, w)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.ErrorIs(t, courier.Run(ctx, w), context.DeadlineExceeded)
		require.Equal(t, 100, total)
		require.Equal(t, 16, most)
	})
}
