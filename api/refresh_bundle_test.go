package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/jobs/lookup"
	"github.com/callmine/rolecall/store"
)

// errClerkAway is the error of a failed look-up. It names ids, as Clerk's errors do.
var errClerkAway = errors.New("GET /organizations/org_1/memberships?user_id=user_new: 500")

// directory is the Clerk that look-ups ask. A test sets its answers.
type directory struct {
	mu      sync.Mutex
	asked   []store.Pair                            // a user without an organization: all memberships
	results []lookup.Result                         // of the look-ups
	merge   func(context.Context, store.Pair) error // the answer; nil means "no such membership"
	begun   chan store.Pair                         // if set, receives each look-up at its beginning
}

func (d *directory) Refresh(ctx context.Context, userID, organizationID string) error {
	return d.look(ctx, store.Pair{UserID: userID, OrganizationID: organizationID})
}

func (d *directory) RefreshUser(ctx context.Context, userID string) error {
	return d.look(ctx, store.Pair{UserID: userID})
}

func (d *directory) look(ctx context.Context, pair store.Pair) error {
	d.mu.Lock()
	d.asked = append(d.asked, pair)
	merge := d.merge
	d.mu.Unlock()
	if d.begun != nil {
		d.begun <- pair
	}
	if merge == nil {
		return nil
	}
	return merge(ctx, pair)
}

// answers sets what the next look-ups do.
func (d *directory) answers(merge func(context.Context, store.Pair) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.merge = merge
}

// record keeps the result of a look-up.
func (d *directory) record(o lookup.Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.results = append(d.results, o)
}

// lookUps returns Lookups that ask the directory.
func (d *directory) lookUps(tb testing.TB, c Config, timeout time.Duration) *lookup.Lookups {
	tb.Helper()
	l, err := lookup.New(lookup.Config{Asker: d, Timeout: timeout, DB: c.DB, Told: d.record, Now: c.Now, Logger: c.Logger})
	require.NoError(tb, err)
	return l
}

// takeAsked returns the pairs asked about since the last call.
func (d *directory) takeAsked() []store.Pair {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	return asked
}

// takeResults returns the results since the last call.
func (d *directory) takeResults() []lookup.Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	said := d.results
	d.results = nil
	return said
}

// refreshBundle is the API with a directory behind it.
type refreshBundle struct {
	*serverBundle
	directory *directory
	clock     *testClock
	db        *hookedDB
}

// setupRefresh gives look-ups time, so that a busy machine waits for their answer, too.
func setupRefresh(tb testing.TB) *refreshBundle {
	tb.Helper()
	return setupRefreshWithin(tb, leisure)
}

// leisure is the bound of look-ups in tests that don't mean the bound.
const leisure = 30 * time.Second

// setupRefreshWithin bounds the look-ups; 0 as in production.
func setupRefreshWithin(tb testing.TB, timeout time.Duration) *refreshBundle {
	tb.Helper()
	b := &refreshBundle{directory: &directory{}, clock: &testClock{now: worldBegan()}, db: &hookedDB{}}
	b.serverBundle = setupServer(tb, func(c *Config) {
		b.db.DBTX = c.DB
		c.DB, c.Now = b.db, b.clock.Now
		c.Refresher = b.directory.lookUps(tb, *c, timeout)
	})
	return b
}

// joins makes each user a member as soon as the user is looked up. A look-up of all memberships
// finds one in org_1.
func (b *refreshBundle) joins() {
	var mu sync.Mutex
	b.directory.answers(func(_ context.Context, pair store.Pair) error {
		mu.Lock()
		defer mu.Unlock()
		organization := pair.OrganizationID
		if organization == "" {
			organization = "org_1"
		}
		b.world.member(organization, pair.UserID, "org:admin", nil)
		return nil
	})
}

// later serves a user's request in the background.
func (b *refreshBundle) later(ctx context.Context, user, target string) <-chan exchange {
	answer := make(chan exchange, 1)
	go func() {
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
		request.Header.Set("Authorization", "Bearer "+user)
		recorder := httptest.NewRecorder()
		b.handler.ServeHTTP(recorder, request)
		answer <- exchange{request: request, status: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()}
	}()
	return answer
}

// afterReads returns a channel that is closed when the n-th pair from now on is read. Requests
// share the queries.
func (b *refreshBundle) afterReads(n int) <-chan struct{} {
	var mu sync.Mutex
	reached := make(chan struct{})
	b.db.asked = func(sql string, args []any) {
		mu.Lock()
		defer mu.Unlock()
		list, _ := args[len(args)-1].([]string) // nil of a query that reads no standings, or one
		pairs := len(list)
		if strings.Contains(sql, "-- name: Standing :many") {
			pairs = 1
		}
		if n > 0 && n <= pairs {
			close(reached)
		}
		n -= pairs
	}
	return reached
}

// hang never answers, and ends when its context does.
func hang(ctx context.Context, _ store.Pair) error {
	<-ctx.Done()
	return ctx.Err()
}

// patience bounds how long a stranger waits while Clerk hangs: the look-up's second, and room for a
// busy machine. Package lookup tests the exact time by a fake clock.
const patience = 10 * time.Second
