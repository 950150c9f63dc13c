package service_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/jobs/sweep"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestLaggingCourier is the lossy courier at a Clerk whose reads lag. Each list and look-up lags by
// its own time, some flap, some are empty, and the clocks of Clerk's machines differ. Such sweeps
// admit no user whom a signed event refused, unless Clerk shows a newer state. Once Clerk has
// caught up, one sweep makes the mirror equal.
func TestLaggingCourier(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	clerk := &movingClerk{}
	server := httptest.NewServer(clerk)
	t.Cleanup(server.Close)
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt, b, 0, 40*time.Millisecond, -40*time.Millisecond)
		states := h.live(rt)
		h.deliver(svixsim.Faults{Drop: rapid.SampledFrom([]float64{0, 0.1, 0.5, 1}).Draw(rt, "lost"), Repeat: 0.2, Delay: 0.2})
		for range rapid.IntRange(1, 3).Draw(rt, "sweeps while Clerk is behind") {
			before := h.decisions()
			asOf := h.sweepBehind(server.URL, clerk, states)
			h.requireRefused(before, h.decisions(), asOf)
			if len(h.late) > 0 && rapid.Bool().Draw(rt, "some more comes") {
				h.deliver(svixsim.Faults{Drop: 0.5})
			}
		}
		h.readLag = time.Nanosecond // Clerk has caught up
		h.sweep(server.URL, clerk)
		lost := h.late
		h.late = nil
		h.deliver(svixsim.Faults{Repeat: 0.2}) // the changes during the sweep
		h.compare()
		h.late = lost
		h.deliver(svixsim.Faults{}) // after hours of trying
		h.sweep(server.URL, clerk)  // the late deliveries may have dates that contradict the order of one pair's memberships
		h.deliver(svixsim.Faults{})
		h.compare()
	})
}

// worldState is the state of Clerk at a time.
type worldState struct {
	at    time.Time
	world *clerksim.World
}

// live lets a random history happen, and returns its states. Two states are further apart than the
// clocks differ.
func (h *history) live(rt *rapid.T) []worldState {
	var states []worldState
	actions := h.actions()
	actions["join, leave and join at once"] = func(t *rapid.T) {
		org, user := h.org(t), h.user(t)
		for range 2 {
			_, err := h.clerk.AddMember(org, user, h.role(t))
			h.allowed(err)
			h.allowed(h.clerk.RemoveMember(org, user))
		}
		_, err := h.clerk.AddMember(org, user, h.role(t))
		h.allowed(err)
	}
	actions[""] = func(*rapid.T) {
		h.now = h.now.Add(2 * time.Second)
		states = append(states, worldState{h.now, h.clerk.Snapshot()})
		h.now = h.now.Add(2 * time.Second)
	}
	rt.Repeat(actions)
	return states
}

// readRoutes returns the routes that sweeps read, by the kind that they decide.
func readRoutes() map[string][]string {
	return map[string][]string{
		"membership":   {"GET /organization_memberships", "GET /organizations/{id}/memberships"},
		"user":         {"GET /users", "GET /users/{id}"},
		"organization": {"GET /organizations", "GET /organizations/{id}"},
		"rest":         {"GET /organization_roles", "GET /organization_permissions", "GET /organization_invitations", "GET /organization_domains"},
	}
}

// sweepBehind sweeps once while each route reads its own state; the sweep may be aborted. It
// returns, for each kind, the newest state that its routes read.
func (h *history) sweepBehind(url string, clerk *movingClerk, states []worldState) map[string]time.Time {
	faults := clerksim.NewAPIFaults()
	asOf := map[string]time.Time{}
	for _, kind := range []string{"membership", "user", "organization", "rest"} {
		for _, route := range readRoutes()[kind] {
			at := h.behind(faults, route, states)
			if at.After(asOf[kind]) {
				asOf[kind] = at
			}
		}
	}
	client, err := clerkapi.New(clerkapi.Config{
		URL: url + "/v1", SecretKey: h.clerk.SecretKey(), CallsPerSecond: 1e6, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(h.rt, err)
	defer client.Close()
	sweeper, err := sweep.New(sweep.Config{
		Pool: h.b.DB, Clerk: client, InstanceID: h.clerk.InstanceID(), Logger: slog.New(slog.DiscardHandler),
		PageSize: rapid.IntRange(2, 6).Draw(h.rt, "page size"), Settle: time.Millisecond, ApplyWait: time.Millisecond,
	})
	require.NoError(h.rt, err)
	clerk.serve(h.clerk.Handler(faults.Middleware), func() {})
	_, err = sweeper.Run(h.t.Context(), sweep.Options{Trigger: sweep.TriggerCommand, Confirm: true})
	require.NoError(h.rt, err)
	return asOf
}

// behind lets one route read an earlier state, and returns the newest state that it may show.
func (h *history) behind(faults *clerksim.APIFaults, route string, states []worldState) time.Time {
	on := clerksim.OnRoute(route)
	state := rapid.SampledFrom(states).Draw(h.rt, route+" reads")
	switch rapid.IntRange(0, 9).Draw(h.rt, route+" is") {
	case 0:
		return h.now // up to date
	case 1:
		faults.AnswerFrom(state.world, clerksim.EveryOther(on))
		return h.now
	case 2:
		faults.AnswerFrom(state.world, on)
		faults.Empty(clerksim.EveryOther(on))
	default:
		faults.AnswerFrom(state.world, on)
	}
	return state.at
}

// question is the subject of a decision.
type question struct{ user, org, permission string }

// decisions returns the reason of each decision about each pair.
func (h *history) decisions() map[question]clerksync.Reason {
	type check struct {
		UserID      string `json:"user_id"`
		WorkspaceID string `json:"workspace_id"`
		Permission  string `json:"permission"`
	}
	reasons := map[question]clerksync.Reason{}
	for _, org := range h.orgs {
		var checks []check
		for _, user := range h.users {
			checks = append(checks, check{user, org, "reports:read"}, check{user, org, "billing:manage"})
		}
		text, err := json.Marshal(map[string]any{"checks": checks[:min(len(checks), 100)]})
		require.NoError(h.rt, err)
		request, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.b.Web("/v1/authorize"), bytes.NewReader(text))
		require.NoError(h.rt, err)
		_, body := h.b.Do(h.t, request, h.b.ServiceToken)
		for i, d := range body["decisions"].([]any) {
			q := question{checks[i].UserID, org, checks[i].Permission}
			reasons[q] = clerksync.Reason(d.(map[string]any)["reason"].(string))
		}
	}
	return reasons
}

// requireRefused requires that users whom signed events refused before a sweep are refused after
// it, unless the sweep may have read a newer state than the events.
func (h *history) requireRefused(before, after map[question]clerksync.Reason, asOf map[string]time.Time) {
	for q, was := range before {
		if was == clerksync.ReasonAllowed || after[q] != clerksync.ReasonAllowed {
			continue
		}
		kind, heard := "membership", h.newest("organizationMembership.", q.org, q.user)
		switch {
		case was == clerksync.ReasonWorkspaceDeleted:
			kind, heard = "organization", h.newest("organization.", q.org)
		case strings.HasPrefix(string(was), "user_"):
			kind, heard = "user", h.newest("user.", q.user)
		}
		require.False(h.rt, asOf[kind].Before(heard), "%+v was refused (%s) by an event of %s, and let in by an answer from %s",
			q, was, heard, asOf[kind])
	}
}

// newest returns when the newest event occurred that was delivered, of a type and about objects;
// zero if there is none.
func (h *history) newest(eventType string, ids ...string) time.Time {
	var at time.Time
	for _, m := range h.delivered {
		about := strings.HasPrefix(m.Type, eventType)
		for _, id := range ids {
			about = about && bytes.Contains(m.Body, []byte(`"`+id+`"`))
		}
		if about && m.OccurredAt.After(at) {
			at = m.OccurredAt
		}
	}
	return at
}
