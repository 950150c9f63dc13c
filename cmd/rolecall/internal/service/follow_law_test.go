package service_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/api/client"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// consumer is a consumer of the change feed, which keeps the members of one history.
type consumer struct {
	t        *testing.T
	b        *servicetest.Bundle
	rolecall *client.Client

	cursor  string
	members client.Members
}

// startFollowed starts a service and a consumer. Another one waits for changes all the time, so
// that they are published at once.
func startFollowed(t *testing.T) (*servicetest.Bundle, *consumer) {
	t.Helper()
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, func(_ *servicetest.Bundle, cfg *config.Config) {
		cfg.ServiceTokens += "/scopes=authorize+read"
	})
	b.Open(t, url)
	rolecall, err := client.New(client.Config{URL: b.Web(""), ServiceToken: b.ServiceToken})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range rolecall.Follow(ctx, client.FollowOptions{After: client.Latest}) {
			continue
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return b, &consumer{t: t, b: b, rolecall: rolecall}
}

// begin forgets the history before.
func (c *consumer) begin(rt *rapid.T) {
	c.cursor = client.Latest
	c.read(rt)
	c.members = client.Members{}
}

// read reads all that was committed until now.
func (c *consumer) read(rt *rapid.T) {
	var now time.Time
	require.NoError(rt, c.b.DB.QueryRow(c.t.Context(), "SELECT clock_timestamp()").Scan(&now))
	for complete := false; !complete; {
		for batch, err := range c.rolecall.Follow(c.t.Context(), client.FollowOptions{After: c.cursor}) {
			require.NoError(rt, err)
			batch.Anew = false
			c.members.Apply(batch)
			c.cursor = batch.Cursor
			if !batch.More { // the next question would wait for a change
				complete = !batch.CompleteUntil.Before(now)
				break
			}
		}
	}
}

// compare compares the members with the mirror.
func (c *consumer) compare(h *history) {
	c.read(h.rt)
	members := []string{}
	err := c.b.DB.QueryRow(c.t.Context(), `SELECT coalesce(array_agg(organization_id || ' ' || user_id), '{}') FROM rolecall.current_memberships
		WHERE organization_id = ANY($1)`, h.orgs).Scan(&members)
	require.NoError(h.rt, err)
	known := []string{}
	for _, org := range h.orgs {
		for user := range c.members.Of(org) {
			known = append(known, org+" "+user)
		}
	}
	slices.Sort(members)
	slices.Sort(known)
	require.Equal(h.rt, members, known)
}
