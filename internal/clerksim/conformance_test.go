package clerksim_test

import (
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// The settings of the conformance suite for a real Clerk.
const (
	clerkURL       = "https://api.clerk.com/v1"
	clerkKey       = "CLERK_CONFORMANCE_SECRET_KEY"
	developmentKey = "sk_test_"
	// clerkPace is the least time between two calls of Clerk: four in a second, of the ten that a
	// development instance allows.
	clerkPace = 250 * time.Millisecond
)

// conformance lists the checks of what Rolecall relies on at Clerk's Backend API. Each check makes
// its own objects.
func conformance() map[string]func(*testing.T, peer) {
	return map[string]func(*testing.T, peer){
		"instance":                          conformInstance,
		"a wrong key":                       conformWrongKey,
		"what doesn't exist":                conformUnknown,
		"lists have a total":                conformLists,
		"users are a bare array":            conformUserList,
		"users are walked by cursor":        conformCursor,
		"a cursor goes alone":               conformCursorRules,
		"organizations are paged by age":    conformPaging,
		"roles are looked up":               conformRoles,
		"an organization lives and dies":    conformOrganization,
		"a member comes, rises and goes":    conformMembership,
		"the last admin stays":              conformLastAdmin,
		"an invitation is made and revoked": conformInvitation,
	}
}

func conform(t *testing.T, p peer) {
	t.Helper()
	for name, check := range conformance() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, p)
		})
	}
}

// TestConformance holds the simulator against what Rolecall relies on at Clerk, and Clerk itself if
// there is a key:
//
//	CLERK_CONFORMANCE_SECRET_KEY=sk_test_… go test -count=1 -run TestConformance ./internal/clerksim
//
// The key must be a development instance's, with organizations enabled, whose users may be created
// by an e-mail address alone. Everything that the suite creates is called rolecall-conformance-…
// and deleted at the end. The suite makes no more than four calls in a second. Clerk sends no mail
// to its addresses. It doesn't check what Clerk leaves open.
func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("simulator", func(t *testing.T) {
		t.Parallel()
		conform(t, simulator(t))
	})
	if key := os.Getenv(clerkKey); key != "" {
		t.Run("clerk", func(t *testing.T) {
			t.Parallel()
			require.True(t, strings.HasPrefix(key, developmentKey), "%s must begin with %s", clerkKey, developmentKey)
			pace := time.NewTicker(clerkPace)
			t.Cleanup(pace.Stop)
			conform(t, newPeer(t, clerkURL, key, pace.C))
		})
	}
}

// simulator is a world on a clock that ticks each time it is read, so that later objects are
// younger.
func simulator(t *testing.T) peer {
	t.Helper()
	var ticks atomic.Int64
	began := newClock().Now()
	w, _ := newWorld(t, clerksim.Config{Now: func() time.Time {
		return began.Add(time.Duration(ticks.Add(1)) * time.Millisecond)
	}})
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	return newPeer(t, server.URL+"/v1", w.SecretKey(), nil)
}
