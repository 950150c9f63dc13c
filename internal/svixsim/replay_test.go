package svixsim_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/callmine/rolecall/internal/svixsim"
)

// TestReplay_DuringARotation has everything in one run: a receiver that fails at first, two
// endpoints with one URL and a secret each, replays six hours later, and a clock a thousand times
// as fast.
func TestReplay_DuringARotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const speed = 1000
		box, secrets := &inbox{statuses: []int{500, 204}}, newSecrets(2)
		courier := newCourier(t, box, svixsim.CourierConfig{
			Endpoints: []svixsim.Endpoint{{URL: someURL, Secrets: secrets[:1]}, {URL: someURL, Secrets: secrets[1:]}},
			Speed:     speed,
		})
		world := newWorld(t)
		createUser(t, world)
		createUser(t, world)
		sent, began := world.Drain(), time.Now()
		results, err := courier.Deliver(t.Context(), sent, svixsim.Faults{Replay: 1})
		require.NoError(t, err)
		require.Equal(t, 6*time.Hour/speed, time.Since(began))

		got := box.all()
		require.Len(t, got, 2*2+1+2*2, "each to both, one retry, and each again to both")
		require.Equal(t, svixsim.Delivered, results[0].Outcome)
		bodies := map[string][]byte{sent[0].ID: sent[0].Body, sent[1].ID: sent[1].Body}
		attempts := map[time.Time]int{}
		for i, r := range got {
			attempts[r.at]++
			require.Equal(t, bodies[r.id()], r.body, "the old body")
			require.Equal(t, i < 5, r.at.Sub(began) < time.Hour/speed)
			accepting := 0
			for _, secret := range secrets {
				verifier, err := svix.NewWebhook(secret)
				require.NoError(t, err)
				if verifier.Verify(r.body, r.header) == nil { // demands a stamp of now; the bubble's now is the run's end
					accepting++
				}
			}
			require.Equal(t, 1, accepting, "by one secret and not the other")
		}
		require.Equal(t, 4, attempts[began.Add(6*time.Hour/speed)])
	})
}

func TestReplay_IsStampedAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		courier := newCourier(t, box, svixsim.CourierConfig{})
		_, err := courier.Deliver(t.Context(), messages(1), svixsim.Faults{Replay: 1, ReplayAfter: 30 * time.Hour})
		require.NoError(t, err)
		got := box.all()
		require.Len(t, got, 2)
		require.Equal(t, 30*time.Hour, got[1].at.Sub(got[0].at))
		require.NotEqual(t, got[0].header.Get("svix-timestamp"), got[1].header.Get("svix-timestamp"))
		require.Equal(t, got[0].id(), got[1].id())
		verifier, err := svix.NewWebhook(newSecrets(1)[0])
		require.NoError(t, err)
		require.NoError(t, verifier.Verify(got[1].body, got[1].header))
		require.Error(t, verifier.Verify(got[0].body, got[0].header), "the first one's stamp is 30 hours old")
	})
}

func TestReplay_ComesOnTopOfAPlan(t *testing.T) {
	t.Parallel()
	faults := svixsim.Faults{Seed: 3, Drop: .2, Repeat: .3, Delay: .3, Window: 5}
	without := faults.Plan(messages(200))
	faults.Replay = .5
	first, replays := map[string]time.Duration{}, 0
	var rest []svixsim.Step
	for _, step := range faults.Plan(messages(200)) {
		if step.At < time.Hour { // replays come hours later, delays are below a minute
			if _, seen := first[step.Message.ID]; !seen {
				first[step.Message.ID] = step.At
			}
			rest = append(rest, step)
			continue
		}
		began, sent := first[step.Message.ID]
		require.True(t, sent, "what was dropped is not replayed")
		require.Equal(t, began+6*time.Hour, step.At)
		replays++
	}
	require.Equal(t, without, rest)
	require.Greater(t, replays, len(first)/3)
	require.Less(t, replays, len(first)*2/3)
}
