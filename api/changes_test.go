package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/changefeed"
)

// soon is longer than anything here takes.
const soon = 10 * time.Second

// follows is the token of a service that may follow the feed.
const follows = serviceToken + "/scopes=read"

// setupFeed serves the API beside a feed that publishes.
func setupFeed(t *testing.T, change func(*Config)) (*serverBundle, *changefeed.Feed) {
	t.Helper()
	var feed *changefeed.Feed
	b := setupServer(t, func(c *Config) {
		var err error
		feed, err = changefeed.Start(t.Context(), changefeed.Config{Pool: c.DB.(changefeed.Pool), Snapshot: c.Snapshot, Logger: c.Logger})
		require.NoError(t, err)
		c.Feed = feed
		if change != nil {
			change(c)
		}
	})
	b.feed = feed
	t.Cleanup(feed.Stop)
	b.db.NoteServer(t)
	return b, feed
}

// page reads a page as soon as it has changes.
func (b *serverBundle) page(token, query string) feedBody {
	b.tb.Helper()
	return answerOf[feedBody](b.tb, b.get(token, pathChanges+"?wait=20&"+query))
}

func kinds(body feedBody) (kinds []string) {
	for _, c := range body.Data {
		kinds = append(kinds, c.Kind)
	}
	return kinds
}

// all reads the feed from a cursor until so many changes came.
func (b *serverBundle) all(token, query string, n int) (found []feedEntryBody, next string) {
	b.tb.Helper()
	for len(found) < n {
		after := ""
		if next != "" {
			after = "&after=" + next
		}
		body := b.page(token, query+after)
		require.NotEmpty(b.tb, body.Data, "%d of %d came", len(found), n)
		found, next = append(found, body.Data...), body.NextCursor
	}
	return found, next
}

// TestChanges_TellWhatHappened in each kind of change, as the document says.
func TestChanges_TellWhatHappened(t *testing.T) {
	t.Parallel()
	b, _ := setupFeed(t, nil)
	b.world.organization("org_1", "North", nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.remove("org_1", "user_1")
	b.world.apply(b.world.delivery("user.updated", map[string]any{"id": "user_1", "banned": true, "updated_at": b.world.now().UnixMilli()}))
	b.world.apply(b.world.delivery("organizationMembership.deleted", map[string]any{"id": "orgmem_unknown", "deleted": true, "organization": map[string]any{"id": "org_1"}, "public_user_data": map[string]any{"user_id": "user_9"}}))
	x := b.send(follows+"+audit:append", http.MethodPost, "/v1/workspaces/org_1/audit", `{"action":"report.run","target":"report_1"}`, "Content-Type", "application/json")
	require.Equal(t, http.StatusCreated, x.status, "%s", x.body)
	found, _ := b.all(follows, "limit=2", 5)
	byKind := map[string]feedEntryBody{}
	for _, c := range found {
		byKind[c.Kind+" "+c.Target] = c
	}
	joined, removed := byKind["member.joined user_1"], byKind["member.removed user_1"]
	require.Equal(t, "org_1", *joined.WorkspaceID)
	require.Equal(t, "user_1", *joined.UserID)
	require.Equal(t, "org:admin", *joined.Role)
	require.Equal(t, joined.MembershipID, removed.MembershipID)
	require.NotEmpty(t, *joined.MembershipID)
	require.Equal(t, "org:admin", *removed.Role, "the last one")
	require.Equal(t, "org_1", byKind["workspace.created org_1"].Target)
	require.Nil(t, byKind["workspace.created org_1"].UserID)
	banned := byKind["user.banned user_1"]
	require.True(t, *banned.Banned)
	require.Nil(t, banned.WorkspaceID)
	require.Nil(t, banned.Revision)
	require.Equal(t, "user_1", *banned.UserID)
	product := byKind["report.run report_1"]
	require.Equal(t, "service:billing", product.Cause)
	require.Nil(t, product.UserID)
	require.Len(t, found, 5, "and not the end of a membership of which nothing else was ever known")
	reached := b.get(follows, fmt.Sprintf("/v1/workspaces/org_1?min_revision=%d", *removed.Revision))
	require.Equal(t, http.StatusOK, reached.status)
}

// TestChanges_RefuseWhatIsGarbled, and say what is allowed.
func TestChanges_RefuseWhatIsGarbled(t *testing.T) {
	t.Parallel()
	b, _ := setupFeed(t, nil)
	good := answerOf[feedBody](t, b.get(follows, pathChanges)).NextCursor
	require.NotEmpty(t, good, "also of an empty feed")
	for _, query := range []string{
		"after=", "after=x", "after=" + good[1:], "after=" + good + "&after=" + good, "limit=0", "limit=201", "limit=-1", "limit=1.5", "limit=",
		"wait=-1", "wait=61", "wait=x", "wait=", "wait=1&wait=1", "workspace_id=", "workspace_id=North", "workspace_id=org_", "cursor=" + good,
	} {
		requireProblem(t, b.get(follows, pathChanges+"?"+query), http.StatusBadRequest, "")
	}
	events := []string{"Accept", "text/event-stream"}
	requireProblem(t, b.get(follows, pathChanges, append(events, headerLastEvent, "x")...), http.StatusBadRequest, "")
	requireProblem(t, b.get(follows, pathChanges, append(events, headerLastEvent, good, headerLastEvent, good)...), http.StatusBadRequest, "")
	requireProblem(t, b.get(follows, pathChanges, headerOnBehalfOf, "user_1"), http.StatusBadRequest, "")
	require.Equal(t, http.StatusOK, b.get(follows, pathChanges+"?after="+good, headerLastEvent, "x").status, "it counts for streams only")
	requireType(t, b.get(serviceToken, pathChanges), http.StatusForbidden, "scope-missing")
	requireType(t, b.get(serviceToken+"/scopes=authorize", pathChanges), http.StatusForbidden, "scope-missing")
	requireType(t, b.get(follows+"/workspaces=org_1", pathChanges+"?workspace_id=org_2"), http.StatusForbidden, "workspace-not-listed")
}

// TestChanges_StayInTheListedWorkspaces, and are those of the whole instance.
func TestChanges_StayInTheListedWorkspaces(t *testing.T) {
	t.Parallel()
	b, _ := setupFeed(t, nil)
	for _, org := range []string{"org_1", "org_2", "org_3"} {
		b.world.member(org, "user_1", "org:admin", nil)
	}
	b.world.apply(b.world.delivery("user.deleted", map[string]any{"id": "user_1", "deleted": true}))
	for token, want := range map[string]string{
		follows: "org_1 org_2 org_3", follows + "/workspaces=org_1": "org_1", follows + "/workspaces=org_1+org_3": "org_1 org_3",
	} {
		n := len(strings.Fields(want)) + 1
		found, _ := b.all(token, "", n)
		require.Len(t, found, n)
		var got []string
		for _, c := range found[:n-1] {
			got = append(got, *c.WorkspaceID)
		}
		require.Equal(t, want, strings.Join(got, " "), token)
		require.Equal(t, "user.deleted", found[n-1].Kind)
	}
	one, _ := b.all(follows, "workspace_id=org_2", 2)
	require.Equal(t, "org_2", *one[0].WorkspaceID)
}

// TestChanges_WaitForOne: an answer comes as soon as something changes, without a hint from who
// changed it, or when the time is over.
func TestChanges_WaitForOne(t *testing.T) {
	t.Parallel()
	b, _ := setupFeed(t, nil)
	begun := answerOf[feedBody](t, b.get(follows, pathChanges))
	require.Empty(t, begun.Data)
	asked := time.Now()
	later := answerOf[feedBody](t, b.get(follows, pathChanges+"?wait=1&after="+begun.NextCursor))
	require.Empty(t, later.Data)
	require.GreaterOrEqual(t, time.Since(asked), time.Second)
	require.True(t, later.CompleteUntil.After(begun.CompleteUntil))
	for _, after := range []string{later.NextCursor, latest} {
		answers := make(chan feedBody)
		go func() { answers <- b.page(follows, "after="+after) }()
		b.untilWaiting(1)
		b.world.member("org_1", "user_"+after[:6], "org:admin", nil)
		require.Contains(t, kinds(<-answers), "member.joined")
	}
}

// TestChanges_OutlastTheTimesOfOtherRequests: neither the server's time-outs nor the handler's cut
// a request that waits, nor its connection.
func TestChanges_OutlastTheTimesOfOtherRequests(t *testing.T) {
	t.Parallel()
	b, _ := setupFeed(t, nil)
	server := httptest.NewUnstartedServer(b.handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 700*time.Millisecond, 700*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	b.url, b.client = server.URL, server.Client()
	begun := time.Now()
	for range 2 { // the second one on the same connection
		require.Empty(t, answerOf[feedBody](t, b.get(follows, pathChanges+"?wait=1")).Data)
	}
	require.GreaterOrEqual(t, time.Since(begun), 2*time.Second)
	stream := b.stream("")
	require.Equal(t, eventHeartbeat, stream.next().kind)
	b.untilWaiting(1)
	<-time.After(time.Second) // longer than the server's time-outs
	b.world.organization("org_1", "North", nil)
	require.Equal(t, eventChange, stream.next().kind)
}

// untilWaiting waits until so many requests wait for changes.
func (b *serverBundle) untilWaiting(n int) {
	b.tb.Helper()
	require.Eventually(b.tb, func() bool { return b.feed.Waiting() == n }, soon, time.Millisecond)
}

// TestChanges_ExpiredCursor: the consumer begins anew. A stream ends with the same problem.
func TestChanges_ExpiredCursor(t *testing.T) {
	t.Parallel()
	b, _ := setupFeed(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	_, next := b.all(follows, "", 1)
	stream := b.stream("after=" + next)
	require.Equal(t, eventHeartbeat, stream.next().kind)
	b.untilWaiting(1)
	b.db.Exec(t, "UPDATE rolecall.feed SET number = 0, history = gen_random_uuid()")
	requireType(t, b.get(follows, pathChanges+"?after="+next), http.StatusGone, "cursor-expired")
	last := stream.next()
	require.Equal(t, eventProblem, last.kind)
	require.Contains(t, last.data, errCursorExpired.Type)
	require.Contains(t, last.data, `"request_id"`)
	require.False(t, stream.lines.Scan(), "the stream is over")
}

// TestChanges_AsEvents: the same changes, each with its cursor as its id.
func TestChanges_AsEvents(t *testing.T) {
	t.Parallel()
	b, feed := setupFeed(t, nil)
	stream := b.stream("limit=1")
	require.Equal(t, "no", stream.header.Get("X-Accel-Buffering"))
	first := stream.next()
	require.Equal(t, eventHeartbeat, first.kind)
	require.NotEmpty(t, first.id)
	b.world.organization("org_1", "North", nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	var seen []sentEvent
	for len(seen) < 2 {
		if e := stream.next(); e.kind == eventChange {
			seen = append(seen, e)
		}
	}
	var told feedEntryBody
	require.NoError(t, json.Unmarshal([]byte(seen[0].data), &told))
	require.Equal(t, "workspace.created", told.Kind)
	require.Equal(t, told.Cursor, seen[0].id)
	after := b.stream("after=latest", headerLastEvent, seen[0].id)
	require.Equal(t, seen[1], after.next(), "the header counts more than the query")
	var beat heartbeatBody
	require.NoError(t, json.Unmarshal([]byte(after.next().data), &beat))
	require.WithinDuration(t, time.Now(), beat.CompleteUntil, time.Minute)

	b.untilWaiting(2)
	feed.Drain()
	for _, s := range []*eventStreamReader{stream, after} {
		for s.lines.Scan() { // it ends without a fault
			require.NotContains(t, s.lines.Text(), eventProblem)
		}
		require.NoError(t, s.lines.Err())
	}
}

// TestChanges_ProcessThatStopsAnswers: those who wait at once, and others within a second, so that
// they don't come again and again.
func TestChanges_ProcessThatStopsAnswers(t *testing.T) {
	t.Parallel()
	b, feed := setupFeed(t, nil)
	answers := make(chan feedBody)
	go func() { answers <- b.page(follows, "") }()
	b.untilWaiting(1)
	feed.Drain()
	require.Empty(t, (<-answers).Data)
	asked := time.Now()
	require.Empty(t, b.page(follows, "").Data)
	require.Less(t, time.Since(asked), soon)
	require.Greater(t, time.Since(asked), 500*time.Millisecond)
}

// TestChanges_FollowersAreBounded: more than one service needs are refused, and are free again when
// they end.
func TestChanges_FollowersAreBounded(t *testing.T) {
	t.Parallel()
	f := followers{now: map[string]int{}}
	var leave func()
	for range maxFollowers {
		leave = f.enter("billing")
		require.NotNil(t, leave)
	}
	require.Nil(t, f.enter("billing"))
	require.NotNil(t, f.enter("reports"), "others aren't held up")
	leave()
	require.NotNil(t, f.enter("billing"))
	require.Nil(t, f.enter("billing"))
}

// TestChanges_WaiterHoldsNoConnection to the database, and one who goes is forgotten.
func TestChanges_WaiterHoldsNoConnection(t *testing.T) {
	t.Parallel()
	b, _ := setupFeed(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	for range 20 {
		go func() {
			asking, _ := http.NewRequestWithContext(ctx, http.MethodGet, b.url+pathChanges+"?wait=20", nil)
			asking.Header.Set("Authorization", "Bearer "+follows)
			if response, err := b.client.Do(asking); err == nil {
				_ = response.Body.Close()
			}
		}()
	}
	b.untilWaiting(20)
	require.Eventually(t, func() bool { return b.pool.Stat().AcquiredConns() == 0 }, soon, time.Millisecond)
	cancel()
	b.untilWaiting(0)
}

// TestChanges_EndWithTheToken: a stream ends when its token counts no more.
func TestChanges_EndWithTheToken(t *testing.T) {
	t.Parallel()
	revocable := &revocableAuthenticator{}
	b, _ := setupFeed(t, func(c *Config) { c.Authenticator = revocable })
	stream := b.stream("")
	require.Equal(t, eventHeartbeat, stream.next().kind)
	poll := make(chan exchange, 1)
	go func() { poll <- b.get(follows, pathChanges+"?wait=20&after=latest") }()
	b.untilWaiting(2)
	revocable.revoked.Store(true)
	b.world.organization("org_1", "North", nil)
	require.Equal(t, http.StatusUnauthorized, (<-poll).status)
	last := stream.next()
	require.Equal(t, eventProblem, last.kind)
	require.Contains(t, last.data, errUnauthenticated.Type)
	b.logs.take()
}

// revocableAuthenticator knows tokens until they are revoked.
type revocableAuthenticator struct {
	tokenAuthenticator

	revoked atomic.Bool
}

func (a *revocableAuthenticator) Authenticate(ctx context.Context, r *http.Request) (auth.Identity, error) {
	if a.revoked.Load() {
		return auth.Identity{}, &auth.Error{Reason: auth.ReasonServiceToken}
	}
	return a.tokenAuthenticator.Authenticate(ctx, r)
}

// sentEvent is an event of a stream.
type sentEvent struct{ kind, id, data string }

type eventStreamReader struct {
	tb     testing.TB
	header http.Header
	lines  *bufio.Scanner
}

// stream opens a stream of events.
func (b *serverBundle) stream(query string, headers ...string) *eventStreamReader {
	b.tb.Helper()
	asking, err := http.NewRequestWithContext(b.tb.Context(), http.MethodGet, b.url+pathChanges+"?"+query, nil)
	require.NoError(b.tb, err)
	asking.Header.Set("Authorization", "Bearer "+follows)
	asking.Header.Set("Accept", eventStream)
	for i := 0; i < len(headers); i += 2 {
		asking.Header.Add(headers[i], headers[i+1])
	}
	response, err := b.client.Do(asking)
	require.NoError(b.tb, err)
	b.tb.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(b.tb, http.StatusOK, response.StatusCode)
	require.Equal(b.tb, eventStream, response.Header.Get("Content-Type"))
	return &eventStreamReader{tb: b.tb, header: response.Header, lines: bufio.NewScanner(response.Body)}
}

// next returns the next event.
func (s *eventStreamReader) next() (e sentEvent) {
	s.tb.Helper()
	for s.lines.Scan() {
		switch name, value, _ := strings.Cut(s.lines.Text(), ": "); name {
		case "event":
			e.kind = value
		case "id":
			e.id = value
		case "data":
			e.data = value
		case "":
			if e.kind != "" {
				return e
			}
		}
	}
	require.Fail(s.tb, "the stream is over", "%v", s.lines.Err())
	return e
}
