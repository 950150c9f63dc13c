package svixsim_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
)

// running is a courier that runs in a bubble, and what it says about its messages.
type running struct {
	world   *clerksim.World
	courier *svixsim.Courier
	box     *inbox

	mu       sync.Mutex
	taken    []string
	outcomes map[string]svixsim.Outcome // of the first endpoint
}

// startRunning starts a courier in the test's bubble. It ends with the test.
func startRunning(t *testing.T) *running {
	t.Helper()
	r := &running{world: newWorld(t), box: &inbox{}, outcomes: map[string]svixsim.Outcome{}}
	r.courier = newCourier(t, r.box, svixsim.CourierConfig{
		Taken: func(message clerksim.Message) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.taken = append(r.taken, message.ID)
		},
		Progress: func(messageID string, endpoint int, outcome svixsim.Outcome) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if endpoint == 0 {
				r.outcomes[messageID] = outcome
			}
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := r.courier.Start(ctx, r.world)
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// create makes n changes, and returns the ids of their messages.
func (r *running) create(t *testing.T, n int) []string {
	t.Helper()
	r.mu.Lock()
	before := len(r.taken)
	r.mu.Unlock()
	for range n {
		createUser(t, r.world)
	}
	r.courier.Pull()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken[before:])
}

func (r *running) outcome(messageID string) svixsim.Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outcomes[messageID]
}

// pass lets time go by on the bubble's clock.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestSwitch_DelaysUntilItIsTurnedOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRunning(t)
		r.courier.Switch(svixsim.LiveFaults{Delay: time.Minute})
		first := r.create(t, 1)
		pass(time.Minute - 1)
		require.Empty(t, r.box.ids())
		pass(1)
		require.Equal(t, first, r.box.ids())
		require.Equal(t, svixsim.Delivered, r.outcome(first[0]))

		second := r.create(t, 1)
		pass(time.Second)
		require.Len(t, r.box.ids(), 1)
		r.courier.Switch(svixsim.LiveFaults{Delay: 10 * time.Second})
		pass(9 * time.Second)
		require.Equal(t, second, r.box.ids()[1:], "a shorter delay counts from the change, too")
		third := r.create(t, 1)
		r.courier.Switch(svixsim.LiveFaults{})
		synctest.Wait()
		require.Equal(t, third, r.box.ids()[2:], "it is sent at once")
	})
}

func TestSwitch_DropsWhatHappensMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRunning(t)
		createUser(t, r.world) // and nobody has drained the world yet
		r.courier.Switch(svixsim.LiveFaults{Drop: true})
		createUser(t, r.world)
		r.courier.Switch(svixsim.LiveFaults{})
		createUser(t, r.world)
		pass(time.Hour)
		require.Len(t, r.taken, 3)
		require.ElementsMatch(t, []string{r.taken[0], r.taken[2]}, r.box.ids())
		require.Equal(t, svixsim.Dropped, r.outcome(r.taken[1]))
		results, err := r.courier.Recover(t.Context(), 0)
		require.NoError(t, err)
		require.Empty(t, results, "what is dropped stays lost")
	})
}

func TestSwitch_RepeatsEachMessageTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRunning(t)
		r.courier.Switch(svixsim.LiveFaults{Repeat: true})
		sent := r.create(t, 1)
		synctest.Wait()
		require.Equal(t, []string{sent[0], sent[0], sent[0]}, r.box.ids())
		require.Equal(t, svixsim.Delivered, r.outcome(sent[0]))

		r.box.answer(http.StatusInternalServerError)
		failing := r.create(t, 1)
		synctest.Wait()
		require.Len(t, r.box.ids(), 6)
		require.Equal(t, svixsim.Waiting, r.outcome(failing[0]), "retries are due")
		r.box.answer(http.StatusNoContent)
		pass(5 * time.Second)
		require.Len(t, r.box.ids(), 7, "a retry isn't repeated")
		require.Equal(t, svixsim.Delivered, r.outcome(failing[0]))
	})
}

func TestSwitch_ReordersWhatComesTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRunning(t)
		r.courier.Switch(svixsim.LiveFaults{Reorder: true})
		burst := r.create(t, 4)
		synctest.Wait()
		slices.Reverse(burst)
		require.ElementsMatch(t, burst, r.box.ids())
		require.NotEqual(t, burst[3], r.box.ids()[0], "the first is overtaken")

		before := len(r.box.ids())
		first := r.create(t, 1)
		pass(4 * time.Second)
		require.Len(t, r.box.ids(), before, "it waits to be overtaken")
		second := r.create(t, 1)
		synctest.Wait()
		require.Equal(t, append(second, first...), r.box.ids()[before:])

		alone := r.create(t, 1)
		pass(5*time.Second - 1)
		require.Len(t, r.box.ids(), before+2)
		pass(1)
		require.Equal(t, alone, r.box.ids()[before+2:], "nothing followed it")

		last := r.create(t, 1)
		r.courier.Switch(svixsim.LiveFaults{})
		synctest.Wait()
		require.Equal(t, last, r.box.ids()[before+3:], "nothing waits without the fault")
	})
}

// TestSwitch_ReordersInAnEndpointThatHangs: one that doesn't answer delays the messages behind it
// by seconds, and no more.
func TestSwitch_ReordersInAnEndpointThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := newWorld(t)
		var mu sync.Mutex
		began := 0
		courier := newCourier(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			began++
			mu.Unlock()
			<-time.After(14 * time.Second) // on the bubble's clock
		}), svixsim.CourierConfig{})
		courier.Switch(svixsim.LiveFaults{Reorder: true})
		createUser(t, world)
		createUser(t, world)
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		require.ErrorIs(t, courier.Run(ctx, world), context.DeadlineExceeded)
		require.Equal(t, 2, began)
	})
}

func TestSwitch_DelaysAndReordersAndRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRunning(t)
		r.courier.Switch(svixsim.LiveFaults{Delay: time.Minute, Reorder: true, Repeat: true})
		first := r.create(t, 1)
		pass(3 * time.Second)
		second := r.create(t, 1)
		pass(time.Minute - 3*time.Second)
		require.Empty(t, r.box.ids())
		pass(3 * time.Second)
		ids := r.box.ids()
		require.Equal(t, second[0], ids[0])
		require.ElementsMatch(t, []string{first[0], first[0], first[0], second[0], second[0], second[0]}, ids)
	})
}

// TestSwitch_DisabledEndpointMissesWhatComes, until it is enabled and recovered.
func TestSwitch_DisabledEndpointMissesWhatComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRunning(t)
		require.False(t, r.courier.Faults().Disabled)
		r.courier.Switch(svixsim.LiveFaults{Delay: time.Minute})
		waiting := r.create(t, 1)
		r.courier.Switch(svixsim.LiveFaults{Delay: time.Minute, Disabled: true})
		require.True(t, r.courier.Faults().Disabled)
		missed := r.create(t, 1)
		require.Equal(t, svixsim.Disabled, r.outcome(missed[0]))
		r.courier.Switch(svixsim.LiveFaults{})
		synctest.Wait()
		require.Equal(t, waiting, r.box.ids(), "it comes after the endpoint is enabled")
		_, err := r.courier.Recover(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, missed, r.box.ids()[1:])

		r.courier.Disable(0)
		require.True(t, r.courier.Faults().Disabled, "however it came about")
	})
}

// TestAdd_SendsWhatHappensFromThenOn to an endpoint that comes late.
func TestAdd_SendsWhatHappensFromThenOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRunning(t)
		createUser(t, r.world)
		late := svixsim.Endpoint{URL: someURL, Secrets: newSecrets(1)}
		require.NoError(t, r.courier.Add(late))
		synctest.Wait()
		require.Len(t, r.box.ids(), 1)
		createUser(t, r.world)
		synctest.Wait()
		require.Len(t, r.box.ids(), 3)
		require.ErrorContains(t, r.courier.Add(late, svixsim.Endpoint{URL: "nowhere"}), "endpoint 1: invalid URL")
		r.courier.Switch(svixsim.LiveFaults{Disabled: true})
		require.NoError(t, r.courier.Add(late))
		require.True(t, r.courier.Disabled(2))
	})
}

// TestAdd_FirstEndpointGetsAllSoFar, but not what was dropped.
func TestAdd_FirstEndpointGetsAllSoFar(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &running{world: newWorld(t), box: &inbox{}}
		r.courier = newCourier(t, r.box, svixsim.CourierConfig{
			Endpoints: []svixsim.Endpoint{},
			Progress: func(_ string, endpoint int, outcome svixsim.Outcome) {
				require.Zero(t, endpoint)
				require.NotEqual(t, svixsim.Failed, outcome)
			},
			Taken: func(message clerksim.Message) { r.taken = append(r.taken, message.ID) },
		})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.courier.Run(ctx, r.world) })
		synctest.Wait()
		createUser(t, r.world)
		r.courier.Switch(svixsim.LiveFaults{Drop: true})
		createUser(t, r.world)
		r.courier.Switch(svixsim.LiveFaults{})
		createUser(t, r.world)
		require.NoError(t, r.courier.Add(svixsim.Endpoint{URL: someURL, Secrets: newSecrets(1)}))
		synctest.Wait()
		require.Len(t, r.taken, 3)
		require.ElementsMatch(t, []string{r.taken[0], r.taken[2]}, r.box.ids())
		require.NoError(t, r.courier.Add(svixsim.Endpoint{URL: someURL, Secrets: newSecrets(1)}))
		synctest.Wait()
		require.Len(t, r.box.ids(), 2, "a later one doesn't")
		cancel()
		running.Wait()
	})
}

func TestProgress_SaysThatAllAttemptsFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRunning(t)
		r.box.answer(http.StatusInternalServerError)
		sent := r.create(t, 1)
		pass(20 * time.Hour)
		require.Equal(t, svixsim.Waiting, r.outcome(sent[0]))
		pass(10 * time.Hour)
		require.Equal(t, svixsim.Failed, r.outcome(sent[0]))
		require.Len(t, r.box.ids(), 8)
	})
}

// TestRecover_MakesRetriesNeedless: a message that was recovered before its retry is not sent
// again.
func TestRecover_MakesRetriesNeedless(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRunning(t)
		r.box.answer(http.StatusInternalServerError)
		sent := r.create(t, 1)
		synctest.Wait()
		r.box.answer(http.StatusNoContent)
		_, err := r.courier.Recover(t.Context(), 0)
		require.NoError(t, err)
		pass(time.Hour)
		require.Len(t, r.box.ids(), 2)
		require.Equal(t, svixsim.Delivered, r.outcome(sent[0]))
	})
}
