package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgdev"
	"github.com/callmine/rolecall/migrations"
)

// heardWithin is how many milliseconds after its commit half of the removals must be heard of.
const heardWithin = 20.0

// feed measures how long after a removal's commit consumers of the change feed hear of it: one at
// the process that applied the removal, and one at another process.
func (s *suite) feed(b *testing.B) {
	url := timedURL(b)
	db := connect(b, url)
	c, token := startClerk(b).withFollower(b)
	applies, other := s.serve(b, c, url), s.serve(b, c, url, "--no-workers")
	sender := newSenders(b, c, applies.addr, 1)[0]
	for b.Loop() {
		t := newLargeTeam(b, c, changes)
		for _, m := range t.messages {
			require.NoError(b, sender.send(b.Context(), m))
		}
		untilApplied(b, db)
		same, elsewhere := listen(b, applies, token), listen(b, other, token)
		acknowledged := t.removeAll(b, c, sender)
		require.NoError(b, errors.Join(<-same.done, <-elsewhere.done))
		committed := commitTimes(b, db)
		require.Less(b, s.delays("removal committed → feed, idle", committed, same.heard), heardWithin)
		require.Less(b, s.delays("removal committed → feed of another process, idle", committed, elsewhere.heard), heardWithin)
		s.delays("removal accepted → feed, idle", acknowledged, same.heard)
	}
	b.ReportMetric(0, "ns/op")
}

// delays adds a row of how long after an instant each removal was heard of, and returns the median
// in milliseconds.
func (s *suite) delays(work string, from, heard map[string]time.Time) (p50 float64) {
	var took []float64
	for cause, at := range heard {
		took = append(took, float64(at.Sub(from[cause]).Microseconds())/1000)
	}
	p50 = quantile(took, 0.5)
	s.table.add(work, "–", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", p50, quantile(took, 0.99)), "–")
	return p50
}

// timedURL is a database on a durable server of its own, which keeps the times of commits.
func timedURL(b *testing.B) string {
	b.Helper()
	server, err := pgdev.Start(b.Context(), pgdev.Config{Settings: map[string]string{"track_commit_timestamp": "on", "max_connections": "200"}})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, server.Stop(context.WithoutCancel(b.Context()))) })
	pool, err := pgxpool.New(b.Context(), server.URL(""))
	require.NoError(b, err)
	defer pool.Close()
	require.NoError(b, migrations.Up(b.Context(), pool))
	return server.URL("")
}

// commitTimes are the instants at which removals were committed, by their causes.
func commitTimes(b *testing.B, db *pgx.Conn) map[string]time.Time {
	b.Helper()
	rows, err := db.Query(b.Context(), `SELECT cause, pg_xact_commit_timestamp(xmin) FROM rolecall.audit_log WHERE action = 'member.removed'`)
	require.NoError(b, err)
	committed := map[string]time.Time{}
	var cause string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&cause, &at}, func() error { committed[cause] = at; return nil })
	require.NoError(b, err)
	return committed
}

// withFollower adds a service that may follow the change feed.
func (c *clerk) withFollower(b *testing.B) (with *clerk, token string) {
	b.Helper()
	token, hash, err := auth.NewServiceToken(strings.NewReader(strings.Repeat("follower", 8)))
	require.NoError(b, err)
	return c.with("ROLECALL_SERVICE_TOKEN_HASHES=follower:" + hash + "/scopes=read"), token
}

// largeTeam is a workspace at Clerk whose members leave.
type largeTeam struct {
	organization string
	users        []string
	messages     []clerksim.Message // that made it
}

func newLargeTeam(b *testing.B, c *clerk, members int) *largeTeam {
	b.Helper()
	organization, err := c.CreateOrganization(clerksim.NewOrganization{})
	require.NoError(b, err)
	t := &largeTeam{organization: organization.ID}
	for range members {
		user, err := c.CreateUser(clerksim.NewUser{})
		require.NoError(b, err)
		_, err = c.AddMember(organization.ID, user.ID, clerksim.RoleMember)
		require.NoError(b, err)
		t.users = append(t.users, user.ID)
	}
	t.messages = c.Drain()
	return t
}

// removeAll removes one member after the other. It returns when each removal was acknowledged.
func (t *largeTeam) removeAll(b *testing.B, c *clerk, sender sender) map[string]time.Time {
	b.Helper()
	acknowledged := map[string]time.Time{}
	every := time.NewTicker(changeEvery)
	defer every.Stop()
	for _, user := range t.users {
		<-every.C
		require.NoError(b, c.RemoveMember(t.organization, user))
		m := c.Drain()[0]
		require.NoError(b, sender.send(b.Context(), m))
		acknowledged[m.ID] = time.Now()
	}
	return acknowledged
}

// listener is a consumer of the change feed's events. heard has when it heard of each removal, by
// its cause, and may be read once done has given the result.
type listener struct {
	heard map[string]time.Time
	done  chan error
}

// listen follows the feed until all members of a team have been removed.
func listen(b *testing.B, p *program, token string) *listener {
	b.Helper()
	request, err := withToken(b.Context(), "/v1/changes?after=latest", token)
	require.NoError(b, err)
	request.URL.Host = p.addr
	request.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(b, err)
	b.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(b, http.StatusOK, response.StatusCode)
	l := &listener{heard: map[string]time.Time{}, done: make(chan error, 1)}
	go func() { l.done <- l.read(response.Body) }()
	return l
}

func (l *listener) read(events io.Reader) error {
	lines := bufio.NewScanner(events)
	for len(l.heard) < changes && lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		var change struct {
			Kind  string `json:"kind"`
			Cause string `json:"cause"`
		}
		if ok && json.Unmarshal([]byte(text), &change) == nil && change.Kind == "member.removed" {
			l.heard[change.Cause] = time.Now()
		}
	}
	if len(l.heard) < changes {
		return fmt.Errorf("the stream ended after %d removals: %w", len(l.heard), lines.Err())
	}
	return nil
}
