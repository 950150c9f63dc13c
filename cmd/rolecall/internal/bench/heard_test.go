package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// hearing is what a service heard at once, and when.
type hearing struct {
	at  time.Time
	err error
}

// heard measures how long after a removal's 200 a service hears of it by the change feed.
func (s *suite) heard(b *testing.B) {
	url := pgtest.DurableURL(b)
	c := startClerk(b)
	team := newTeam(b, c)
	t := s.tell(b, c, team, url)
	cursor := "latest"
	follower := newAskers(b, t.program.addr, 1, func(ctx context.Context, _ int) (*http.Request, error) {
		return withToken(ctx, "/v1/changes?wait=9&after="+cursor, c.followsToken)
	})[0]
	listen := func() <-chan hearing {
		heard := make(chan hearing, 1)
		go func() { heard <- hear(b.Context(), follower, &cursor) }()
		return heard
	}
	every := time.NewTicker(changeEvery)
	defer every.Stop()
	var took []float64
	for b.Loop() {
		for range changes {
			for _, change := range []func() error{
				func() error { return c.RemoveMember(team.organization, team.user) },
				func() error { _, err := c.AddMember(team.organization, team.user, clerksim.RoleMember); return err },
			} {
				heard := listen()
				<-every.C // it waits by then
				require.NoError(b, change())
				for _, m := range c.Drain() {
					require.NoError(b, t.sender.send(b.Context(), m))
				}
				acknowledged := time.Now()
				h := <-heard
				require.NoError(b, h.err)
				took = append(took, max(0, h.at.Sub(acknowledged).Seconds()*1000))
			}
		}
	}
	p50, p99 := quantile(took, 0.5), quantile(took, 0.99)
	b.ReportMetric(p50, "p50-ms")
	b.ReportMetric(p99, "p99-ms")
	b.ReportMetric(0, "ns/op")
	s.table.add("accepted → change feed, idle", "–", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", p50, p99), "–")
}

// hear waits for changes, and moves the cursor.
func hear(ctx context.Context, follower asker, cursor *string) hearing {
	for {
		text, err := follower.ask(ctx)
		at := time.Now()
		var page struct {
			Data       []json.RawMessage `json:"data"`
			NextCursor string            `json:"next_cursor"`
		}
		if err == nil {
			err = json.Unmarshal([]byte(text), &page)
		}
		if err != nil || len(page.Data) > 0 {
			*cursor = page.NextCursor
			return hearing{at, err}
		}
		*cursor = page.NextCursor
	}
}
