package mirrortest

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

// Clerk is a simulated Clerk of the instance [InstanceID], together with the service's own client
// for it.
type Clerk struct {
	World  *clerksim.World
	Faults *clerksim.APIFaults
	Client *clerkapi.Client
}

// NewClerk starts a Clerk that ends with the test.
func NewClerk(t testing.TB) *Clerk {
	t.Helper()
	c := &Clerk{Faults: clerksim.NewAPIFaults()}
	var err error
	c.World, err = clerksim.New(clerksim.Config{InstanceID: InstanceID})
	require.NoError(t, err)
	server := httptest.NewServer(c.World.Handler(c.Faults.Middleware))
	t.Cleanup(server.Close)
	c.Client, err = clerkapi.New(clerkapi.Config{
		URL: server.URL + "/v1", SecretKey: c.World.SecretKey(), Transport: &http.Transport{}, CallsPerSecond: 1e6,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(c.Client.Close)
	return c
}

// Deliveries returns the events that Clerk has sent since the last call.
func (c *Clerk) Deliveries() (sent []clerksync.Delivery) {
	for _, m := range c.World.Drain() {
		sent = append(sent, clerksync.NewDelivery(m.ID, m.Body, m.OccurredAt, time.Now()))
	}
	return sent
}

// Members returns the memberships at Clerk, the oldest first.
func (c *Clerk) Members() []clerksim.Membership {
	members := c.World.Directory().Memberships()
	slices.SortFunc(members, func(a, b clerksim.Membership) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return members
}
