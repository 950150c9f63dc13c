package svixsim_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/svixsim"
)

func TestDeliver_RetriesFollowTheSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{statuses: []int{500}}
		courier := newCourier(t, box, svixsim.CourierConfig{})
		results, err := courier.Deliver(t.Context(), messages(1), svixsim.Faults{})
		require.NoError(t, err)
		require.Equal(t, svixsim.Failed, results[0].Outcome)
		require.Len(t, results[0].Attempts, 8)
		var waits []time.Duration
		last := results[0].Attempts[0].At
		for _, got := range box.all() {
			require.Equal(t, strconv.FormatInt(got.at.Unix(), 10), got.header.Get("svix-timestamp"), "of this attempt")
			waits = append(waits, got.at.Sub(last))
			last = got.at
		}
		require.Equal(t, svixsim.RetrySchedule(), waits)
	})
}

func TestDeliver_RetryingEndsWithSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{statuses: []int{500, 404, 204}}
		courier := newCourier(t, box, svixsim.CourierConfig{})
		began := time.Now()
		results, err := courier.Deliver(t.Context(), messages(1), svixsim.Faults{})
		require.NoError(t, err)
		require.Equal(t, svixsim.Delivered, results[0].Outcome)
		require.Len(t, results[0].Attempts, 3)
		require.Equal(t, 5*time.Minute+5*time.Second, time.Since(began))
	})
}

func TestDeliver_SpeedDividesWaits(t *testing.T) {
	t.Parallel()
	var waits []time.Duration
	courier := newCourier(t, &inbox{statuses: []int{500}}, svixsim.CourierConfig{
		Speed: 1000,
		Wait:  func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil },
	})
	_, err := courier.Deliver(t.Context(), messages(1), svixsim.Faults{})
	require.NoError(t, err)
	require.Len(t, waits, 7)
	require.Equal(t, 5*time.Millisecond, waits[0])
	require.Equal(t, 36*time.Second, waits[6])
}

func TestDeliver_SendsGoOnDuringARetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{statuses: []int{500, 204}}
		courier := newCourier(t, box, svixsim.CourierConfig{})
		steps := svixsim.InOrder(messages(3)...)
		steps[2].At = time.Minute
		results, err := courier.Play(t.Context(), steps)
		require.NoError(t, err)
		require.Equal(t, []string{"msg_0", "msg_1", "msg_0", "msg_2"}, box.ids())
		for _, result := range results {
			require.Equal(t, svixsim.Delivered, result.Outcome)
		}
	})
}

func TestPlay_DoesExactlyWhatThePlanSays(t *testing.T) {
	t.Parallel()
	box := &inbox{}
	courier := newCourier(t, box, svixsim.CourierConfig{})
	m := messages(3)
	results, err := courier.Play(t.Context(), svixsim.InOrder(m[2], m[0], m[2], m[0], m[0]))
	require.NoError(t, err)
	require.Equal(t, []string{"msg_2", "msg_0", "msg_2", "msg_0", "msg_0"}, box.ids())
	require.Len(t, results, 2)
	require.Equal(t, "msg_2", results[0].MessageID)
	require.Len(t, results[1].Attempts, 3)
}

func TestPlay_DeliveredRepeatEndsRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{statuses: []int{500, 204}}
		courier := newCourier(t, box, svixsim.CourierConfig{})
		m := message("msg_1")
		began := time.Now()
		results, err := courier.Play(t.Context(), []svixsim.Step{{Message: m}, {Message: m, At: time.Second}})
		require.NoError(t, err)
		require.Equal(t, svixsim.Delivered, results[0].Outcome)
		require.Len(t, box.all(), 2)
		require.Equal(t, time.Second, time.Since(began), "nobody waits for a pointless retry")
	})
}

func TestPlay_FailedRepeatIsNotRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		courier := newCourier(t, &inbox{statuses: []int{500}}, svixsim.CourierConfig{})
		results, err := courier.Play(t.Context(), svixsim.InOrder(message("msg_1"), message("msg_1")))
		require.NoError(t, err)
		require.Len(t, results[0].Attempts, 8+1)
		require.Equal(t, 9, results[0].Attempts[8].Number)
	})
}

func TestDeliver_EachEndpointIsRetriedByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := map[string]int{}
		courier := newCourier(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			attempts[req.URL.Path]++
			if req.URL.Path == "/bad" {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}), svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{
			{URL: "http://receiver.callmine.test/good", Secrets: newSecrets(1)},
			{URL: "http://receiver.callmine.test/bad", Secrets: newSecrets(1)},
		}})
		results, err := courier.Deliver(t.Context(), messages(1), svixsim.Faults{})
		require.NoError(t, err)
		require.Equal(t, svixsim.Failed, results[0].Outcome)
		require.Equal(t, map[string]int{"/good": 1, "/bad": 8}, attempts)
	})
}

func TestDeliver_StopsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		courier := newCourier(t, &inbox{statuses: []int{500}}, svixsim.CourierConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		results, err := courier.Deliver(ctx, messages(1), svixsim.Faults{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, results[0].Attempts, 4, "at once, 5 s, 5 min, 30 min")
	})
}

func TestPlay_DroppedMessagesHaveAResult(t *testing.T) {
	t.Parallel()
	box := &inbox{}
	courier := newCourier(t, box, svixsim.CourierConfig{})
	results, err := courier.Deliver(t.Context(), messages(3), svixsim.Faults{Drop: 1})
	require.NoError(t, err)
	require.Empty(t, box.all())
	require.Len(t, results, 3)
	require.Equal(t, svixsim.Dropped, results[2].Outcome)
	require.Equal(t, "msg_2", results[2].MessageID)
	require.Equal(t, "dropped", results[2].Outcome.String())
}

func TestPlan_KindPlanIsInOrder(t *testing.T) {
	t.Parallel()
	require.Equal(t, svixsim.InOrder(messages(10)...), svixsim.Faults{Seed: 5}.Plan(messages(10)))
}

func TestPlan_DecidedByTheSeed(t *testing.T) {
	t.Parallel()
	plan := func(seed uint64) []svixsim.Step {
		return svixsim.Faults{Seed: seed, Drop: .2, Repeat: .3, Delay: .3, Window: 5}.Plan(messages(50))
	}
	first, again := plan(1), plan(1)
	require.Equal(t, first, again)
	require.NotEqual(t, first, plan(2))
}

func TestPlan_KeepsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.SampledFrom([]int{0, 4}).Draw(t, "window")
		faults := svixsim.Faults{
			Seed:     rapid.Uint64().Draw(t, "seed"),
			Drop:     rapid.SampledFrom([]float64{0, .3, 1}).Draw(t, "drop"),
			Repeat:   rapid.SampledFrom([]float64{0, .3, 1}).Draw(t, "repeat"),
			Delay:    rapid.SampledFrom([]float64{0, .3, 1}).Draw(t, "delay"),
			MaxDelay: time.Second,
			Window:   window,
		}
		all := messages(rapid.IntRange(0, 20).Draw(t, "messages"))
		counts := map[string]int{}
		var firsts []int
		var last time.Duration
		for _, step := range faults.Plan(all) {
			if counts[step.Message.ID]++; counts[step.Message.ID] == 1 {
				firsts = append(firsts, index(t, step.Message.ID))
			}
			require.GreaterOrEqual(t, step.At, last)
			require.LessOrEqual(t, step.At, time.Second)
			last = step.At
		}
		switch {
		case faults.Delay > 0:
		case window == 0:
			require.True(t, slices.IsSorted(firsts), "repeats come later than their originals")
		case faults.Drop == 0 && faults.Repeat == 0:
			for place, first := range firsts {
				require.Equal(t, place/window, first/window, "shuffled within its window")
			}
		}
		for _, m := range all {
			n := counts[m.ID]
			switch {
			case faults.Drop == 1:
				require.Zero(t, n)
			case faults.Drop == 0 && faults.Repeat == 0:
				require.Equal(t, 1, n)
			case faults.Drop == 0 && faults.Repeat == 1:
				require.True(t, n >= 2 && n <= 4, "sent %d times", n)
			}
		}
	})
}

func index(t require.TestingT, messageID string) int {
	i, err := strconv.Atoi(messageID[len("msg_"):])
	require.NoError(t, err)
	return i
}
