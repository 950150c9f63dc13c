package service_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
)

// TestLossyCourier is the hostile courier, who now also loses deliveries. After one sweep, the API
// agrees with the simulator's directory, and so does a consumer of the change feed. That also holds
// if another sweep resumes an interrupted one, if the world changes meanwhile, and if the lost
// deliveries come after all.
func TestLossyCourier(t *testing.T) {
	t.Parallel()
	b, consumer := startFollowed(t)
	clerk := &movingClerk{}
	server := httptest.NewServer(clerk)
	t.Cleanup(server.Close)
	rapid.Check(t, func(rt *rapid.T) {
		consumer.begin(rt)
		h := newHistory(t, rt, b)
		// Reads don't lag here. Otherwise a ban or deprovisioning from a nested copy would stay for
		// some minutes if its event was stamped some milliseconds after the account was restored:
		// see yieldTo in package sync.
		h.readLag = time.Millisecond
		rt.Repeat(h.actions())
		h.deliver(svixsim.Faults{Drop: rapid.SampledFrom([]float64{0.1, 0.5, 1}).Draw(rt, "lost"), Repeat: 0.2, Delay: 0.2})
		h.sweep(server.URL, clerk)
		lost := h.late
		h.late = nil
		h.deliver(svixsim.Faults{Repeat: 0.2}) // the changes during the sweep
		h.compare()
		consumer.compare(h)
		h.late = lost
		h.deliver(svixsim.Faults{}) // after hours of trying
		h.compare()
		consumer.compare(h)
	})
}

// sweep repeats a sweep until it is complete. It may be interrupted, and the world may change
// meanwhile.
func (h *history) sweep(url string, clerk *movingClerk) {
	client, err := clerkapi.New(clerkapi.Config{
		URL: url + "/v1", SecretKey: h.clerk.SecretKey(), CallsPerSecond: 1e6, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(h.rt, err)
	defer client.Close()
	sweeper, err := sweep.New(sweep.Config{
		Pool: h.b.DB, Clerk: client, InstanceID: h.clerk.InstanceID(), Logger: slog.New(slog.DiscardHandler),
		PageSize: rapid.IntRange(2, 6).Draw(h.rt, "page size"), Settle: time.Millisecond, ApplyWait: time.Millisecond, ReadLag: h.readLag,
	})
	require.NoError(h.rt, err)
	cutOffAt := rapid.IntRange(0, 20).Draw(h.rt, "cut off at call")
	moveAt := rapid.IntRange(0, 20).Draw(h.rt, "world moves at call")
	var calls atomic.Int64
	var found []store.FoundDrift // for the message of a failure
	for {
		ctx, cancel := context.WithCancel(h.t.Context())
		clerk.serve(h.clerk.Handler(), func() {
			switch int(calls.Add(1)) {
			case moveAt:
				h.now = time.Now() // changes during a request happen after it
				h.move()
			case cutOffAt:
				cancel()
			}
		})
		report, err := sweeper.Run(ctx, sweep.Options{
			Trigger: sweep.TriggerCommand, Confirm: true, Found: func(d store.FoundDrift) { found = append(found, d) },
		})
		cancel()
		if errors.Is(err, context.Canceled) || errors.Is(err, sweep.ErrRunning) { // its lock goes with its connection
			continue
		}
		require.NoError(h.rt, err)
		require.False(h.rt, report.Aborted, "%s: found %+v", report.Detail, found)
		return
	}
}

// move removes a member and adds another one.
func (h *history) move() {
	h.allowed(h.clerk.RemoveMember(h.orgs[0], h.users[0]))
	h.createUser(h.rt)
	_, err := h.clerk.AddMember(h.orgs[0], h.users[len(h.users)-1], clerksim.RoleMember)
	h.allowed(err)
}

// movingClerk serves one world after the other, and reports each request.
type movingClerk struct {
	handler atomic.Pointer[http.Handler]
	asked   atomic.Pointer[func()]
}

func (c *movingClerk) serve(handler http.Handler, asked func()) {
	c.handler.Store(&handler)
	c.asked.Store(&asked)
}

func (c *movingClerk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*c.asked.Load())()
	(*c.handler.Load()).ServeHTTP(w, r)
}
