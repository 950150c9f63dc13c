package client_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/client"
)

// feedFault is a fault of testdata/follow.json, which explains itself. The TypeScript client reads
// it, too.
type feedFault struct {
	Name    string       `json:"name"`
	Answers []feedAnswer `json:"answers"`
	Ends    string       `json:"ends"`
	Quiet   bool         `json:"quiet"`
}

type feedAnswer struct {
	Status   int             `json:"status"`
	Body     string          `json:"body"`
	JSON     json.RawMessage `json:"json"`
	Problem  json.RawMessage `json:"problem"`
	Header   []string        `json:"header"`
	Pad      int             `json:"pad"`
	Page     bool            `json:"page"`
	Location bool            `json:"location"`
	Close    bool            `json:"close"`
	Cut      bool            `json:"cut"`
}

func readFeedFaults(t *testing.T) []feedFault {
	t.Helper()
	file, err := os.Open("testdata/follow.json")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields() // a misspelt member would test nothing
	var all struct {
		About  []string    `json:"about"`
		Faults []feedFault `json:"faults"`
	}
	require.NoError(t, decoder.Decode(&all))
	require.NotEmpty(t, all.Faults)
	return all.Faults
}

// TestFollow_LosesAndRepeatsNothing: whatever befalls the first or the second question, each change
// arrives once, in order.
func TestFollow_LosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	for _, fault := range readFeedFaults(t) {
		for befalls := range 2 {
			t.Run(fmt.Sprint(fault.Name, " befalls question ", befalls), func(t *testing.T) {
				t.Parallel()
				fault.meet(t, befalls)
			})
		}
	}
}

// meet lets a client follow a server with the fault.
func (f feedFault) meet(t *testing.T, befalls int) {
	t.Helper()
	elsewhere, followed := fake(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, pageAfter(r, nil)) })
	var mu sync.Mutex
	var asked []string // the cursors after which the follower asked
	url, _ := fake(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		turn := len(asked) - befalls
		asked = append(asked, r.URL.Query().Get("after"))
		mu.Unlock()
		if turn >= 0 && turn < len(f.Answers) {
			f.Answers[turn].write(w, r, elsewhere)
			return
		}
		_, _ = io.WriteString(w, pageAfter(r, nil))
	})
	var failures []error
	got, err := receive(t, newClient(t, url, nil), client.FollowOptions{
		After: "c0", Limit: 2, Failed: func(err error) { failures = append(failures, err) },
	})

	want := []string{"c1", "c2", "c3"}
	if f.Ends != "" {
		want = want[:2*befalls]
	}
	require.ElementsMatch(t, want, got)
	require.True(t, slices.IsSorted(got))
	require.Zero(t, followed.Load(), "a redirect is followed")
	require.Subset(t, []string{"c0", "c2", "c3"}, asked)
	require.True(t, slices.IsSorted(asked), "%v", asked)
	expected := len(f.Answers)
	if f.Quiet {
		expected = 0
	}
	if f.Ends != "" {
		expected--
		refused := (*client.Error)(nil)
		require.ErrorAs(t, err, &refused)
		require.Equal(t, f.Ends == "expired", errors.Is(err, client.ErrCursorExpired))
	} else {
		require.NoError(t, err)
	}
	if len(f.Answers) > 0 && f.Answers[0].Close && befalls > 0 { // net/http itself may have asked again, on another connection
		require.LessOrEqual(t, len(failures), expected)
		return
	}
	require.Len(t, failures, expected, "%v", failures)
}

// receive follows until change 3, and returns the cursors of the changes.
func receive(t *testing.T, c *client.Client, o client.FollowOptions) (cursors []string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for batch, err := range c.Follow(ctx, o) {
		if err != nil {
			require.Empty(t, batch)
			return cursors, err
		}
		for _, change := range batch.Changes {
			cursors = append(cursors, change.Cursor)
		}
		if batch.Cursor == "c3" {
			return cursors, nil
		}
	}
	return cursors, nil
}

// pageAfter is the server's own answer: the changes after the cursor, two at most. The given
// members replace its own, with AFTER for that cursor.
func pageAfter(r *http.Request, changed json.RawMessage) string {
	query := r.URL.Query()
	after, _ := strconv.Atoi(strings.TrimPrefix(query.Get("after"), "c"))
	limit, _ := strconv.Atoi(query.Get("limit"))
	data := []map[string]any{}
	for n := after + 1; n <= 3 && len(data) < limit; n++ {
		data = append(data, map[string]any{
			"cursor": fmt.Sprintf("c%d", n), "at": fmt.Sprintf("2026-01-02T03:04:%02d.5Z", n), "workspace_id": "org_1", "kind": "member.removed",
			"user_id": fmt.Sprintf("user_%d", n), "membership_id": fmt.Sprintf("orgmem_%d", n), "role": "org:member", "revision": n,
			"cause": "msg_1", "of_a_later_version": map[string]any{},
		})
	}
	page := map[string]any{"data": data, "next_cursor": fmt.Sprintf("c%d", after+len(data)), "complete_until": "2026-01-02T03:05:00Z"}
	if changed != nil {
		var members map[string]any
		_ = json.Unmarshal([]byte(strings.ReplaceAll(string(changed), `"AFTER"`, strconv.Quote(query.Get("after")))), &members)
		maps.Copy(page, members)
	}
	text, _ := json.Marshal(page) //nolint:errchkjson // texts and numbers
	return string(text)
}

func (a feedAnswer) write(w http.ResponseWriter, r *http.Request, elsewhere string) {
	if a.Close {
		panic(http.ErrAbortHandler)
	}
	body := cmp.Or(string(a.Problem), string(a.JSON), a.Body)
	if a.Page {
		body = pageAfter(r, a.JSON)
	}
	if a.Header != nil {
		w.Header().Set(a.Header[0], a.Header[1])
	}
	if a.Problem != nil {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	if a.Location {
		w.Header().Set("Location", elsewhere)
	}
	if a.Cut {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1000))
	}
	w.WriteHeader(cmp.Or(a.Status, http.StatusOK))
	_, _ = io.WriteString(w, body+strings.Repeat(" ", a.Pad))
	if a.Cut {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// TestFollow_StartsAnew: only if it may, and then it says so.
func TestFollow_StartsAnew(t *testing.T) {
	t.Parallel()
	expired := feedAnswer{Status: http.StatusGone, Problem: json.RawMessage(`{"type":"urn:rolecall:problem:cursor-expired"}`)}
	url, asked := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") == "c77" {
			expired.write(w, r, "")
			return
		}
		_, _ = io.WriteString(w, pageAfter(r, nil))
	})
	_, err := receive(t, newClient(t, url, nil), client.FollowOptions{After: "c77"})
	require.ErrorIs(t, err, client.ErrCursorExpired)
	require.EqualValues(t, 1, asked.Load())

	for _, after := range []string{"c77", ""} {
		anew := map[string]bool{}
		more := map[string]bool{}
		for batch, err := range newClient(t, url, nil).Follow(t.Context(), client.FollowOptions{After: after, Limit: 2, StartAnew: after != ""}) {
			require.NoError(t, err)
			anew[batch.Cursor], more[batch.Cursor] = batch.Anew, batch.More
			if batch.Cursor == "c3" {
				break
			}
		}
		require.Equal(t, map[string]bool{"c2": true, "c3": false}, anew)
		require.Equal(t, map[string]bool{"c2": true, "c3": false}, more)
	}

	var places []string
	url, _ = fake(t, func(w http.ResponseWriter, r *http.Request) {
		places = append(places, r.URL.Query().Get("after"))
		if len(places) == 2 {
			expired.write(w, r, "")
			return
		}
		_, _ = io.WriteString(w, `{"data":[],"next_cursor":"c2","complete_until":"2026-01-02T03:05:00Z"}`)
	})
	for batch, err := range newClient(t, url, nil).Follow(t.Context(), client.FollowOptions{After: client.Latest, StartAnew: true}) {
		require.NoError(t, err)
		require.True(t, batch.Anew)
		if len(places) == 3 {
			break
		}
	}
	require.Equal(t, []string{"latest", "c2", "latest"}, places)

	url, asked = fake(t, func(w http.ResponseWriter, r *http.Request) { expired.write(w, r, "") })
	_, err = receive(t, newClient(t, url, nil), client.FollowOptions{After: "c77", StartAnew: true})
	require.ErrorIs(t, err, client.ErrCursorExpired, "the beginning has expired, too")
	require.EqualValues(t, 2, asked.Load())
}

// TestFollow_HandsOverWhatTheFeedSays: all members of a change, and those of the batch.
func TestFollow_HandsOverWhatTheFeedSays(t *testing.T) {
	t.Parallel()
	var queries []string
	url, _ := fake(t, func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization"))
		if len(queries) == 2 {
			_, _ = io.WriteString(w, `{"data":[],"next_cursor":"c2","complete_until":"2026-01-02T03:06:00Z"}`)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"cursor":"c1","at":"2026-01-02T03:04:05.678Z","workspace_id":null,"kind":"user.restored","target":"user_1","user_id":"user_1","membership_id":null,
			"role":null,"revision":null,"cause":"msg_1","deleted":false,"banned":true}],"next_cursor":"c2","complete_until":"2026-01-02T03:05:00Z"}`)
	})
	for batch, err := range newClient(t, url, nil).Follow(t.Context(), client.FollowOptions{After: "a b&c", WorkspaceID: "org_1", Wait: 7 * time.Second}) {
		require.NoError(t, err)
		if len(queries) == 2 {
			require.Empty(t, batch.Changes)
			break
		}
		require.Equal(t, client.Batch{
			Changes: []client.FeedChange{{
				Cursor: "c1", At: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), Kind: "user.restored", Target: "user_1", UserID: "user_1", Cause: "msg_1",
				Deleted: new(false), Banned: new(true),
			}},
			Cursor: "c2", CompleteUntil: time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC),
		}, batch)
	}
	require.Equal(t, []string{
		"GET /v1/changes?after=a+b%26c&limit=200&wait=0&workspace_id=org_1 Bearer rcs_reports",
		"GET /v1/changes?after=c2&limit=200&wait=7&workspace_id=org_1 Bearer rcs_reports",
	}, queries, "the first question waits for nothing")
}

func TestFollow_RefusesOddOptions(t *testing.T) {
	t.Parallel()
	url, asked := fake(t, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t, url, nil)
	for _, o := range []client.FollowOptions{
		{Limit: -1}, {Limit: 201}, {Wait: -time.Second}, {Wait: time.Millisecond}, {Wait: 61 * time.Second}, {WorkspaceID: "a\x00"},
	} {
		_, err := receive(t, c, o)
		require.ErrorContains(t, err, "must be")
	}
	_, err := receive(t, newClient(t, url, func(cfg *client.Config) { cfg.ServiceToken = "" }), client.FollowOptions{})
	require.ErrorContains(t, err, "no ServiceToken")
	require.Zero(t, asked.Load())
}

// TestFollow_EndsWithItsContext: also while an answer is awaited.
func TestFollow_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	for _, err := range newClient(t, server.URL, nil).Follow(ctx, client.FollowOptions{Failed: func(err error) { t.Error(err) }}) {
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Error(t, ctx.Err())
}
