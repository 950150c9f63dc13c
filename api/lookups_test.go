package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/jobs/lookup"
	"github.com/callmine/rolecall/store"
)

// TestRefresh_ManyAtOnceCostOneLookUp: Clerk answers when all requests have begun to read the
// mirror.
func TestRefresh_ManyAtOnceCostOneLookUp(t *testing.T) {
	t.Parallel()
	const callers = 50
	b := setupRefresh(t)
	all := b.afterReads(callers)
	b.directory.answers(func(ctx context.Context, pair store.Pair) error {
		select {
		case <-all:
			b.world.member(pair.OrganizationID, pair.UserID, "org:admin", nil)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	var answers []<-chan exchange
	for i := range callers {
		routes := userRoutes("org_1")[1:]
		answers = append(answers, b.later(t.Context(), "user_new", routes[i%len(routes)]))
	}
	for _, answer := range answers {
		x := <-answer
		b.held(x)
		require.Equal(t, http.StatusOK, x.status)
	}
	require.Len(t, b.directory.takeAsked(), 1)
}

// TestRefresh_CallerThatGoesAwayEndsNoLookUp: another caller waits for the same look-up.
func TestRefresh_CallerThatGoesAwayEndsNoLookUp(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.directory.begun = make(chan store.Pair)
	answer := make(chan struct{})
	b.directory.answers(func(ctx context.Context, pair store.Pair) error {
		select {
		case <-answer:
		case <-ctx.Done():
			return ctx.Err()
		}
		b.world.member(pair.OrganizationID, pair.UserID, "org:admin", nil)
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	first := b.later(ctx, "user_new", "/v1/workspaces/org_1/me")
	<-b.directory.begun
	cancel()
	b.held(<-first)
	read := b.afterReads(1)
	second := b.later(t.Context(), "user_new", "/v1/workspaces/org_1/me")
	<-read
	close(answer)
	x := <-second
	b.held(x)
	require.Equal(t, http.StatusOK, x.status)
	require.Len(t, b.directory.takeAsked(), 1)
}

// stubborn breaks an Asker's promise to end with its context. It hangs until it is released.
func stubborn(released <-chan struct{}) func(context.Context, store.Pair) error {
	return func(context.Context, store.Pair) error { <-released; return errClerkAway }
}

// TestRefresh_HangingLookUpEndsInTime: the stranger is refused in time, and members don't wait.
func TestRefresh_HangingLookUpEndsInTime(t *testing.T) {
	t.Parallel()
	b := setupRefreshWithin(t, 0)
	b.world.member("org_1", "user_old", "org:admin", nil)
	b.directory.begun = make(chan store.Pair)
	released := make(chan struct{})
	b.directory.answers(stubborn(released))
	began := time.Now()
	stranger := b.later(t.Context(), "user_new", "/v1/workspaces/org_1")
	<-b.directory.begun
	for _, target := range append(userRoutes("org_1"), "/v1/me") {
		require.Equal(t, http.StatusOK, b.get("user_old", target).status)
	}
	x := <-stranger
	require.Less(t, time.Since(began), patience)
	b.held(x)
	requireProblem(t, x, http.StatusNotFound, "")
	close(released)
	require.Eventually(t, func() bool { return len(b.directory.takeResults()) == 1 }, 10*time.Second, time.Millisecond)
	require.Contains(t, b.logs.take(), "look-up at Clerk failed")
}

// TestRefresh_RemembersAFailureForASecond: while Clerk is away, not every request waits for it.
func TestRefresh_RemembersAFailureForASecond(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.directory.answers(func(context.Context, store.Pair) error { return errClerkAway })
	requireProblem(t, b.get("user_new", "/v1/workspaces/org_1"), http.StatusNotFound, "")
	b.clock.advance(time.Second - time.Nanosecond)
	requireProblem(t, b.get("user_new", "/v1/workspaces/org_1"), http.StatusNotFound, "")
	require.Equal(t, []lookup.Result{lookup.Failed, lookup.Remembered}, b.directory.takeResults())
	b.clock.advance(time.Nanosecond)
	b.joins()
	require.Equal(t, http.StatusOK, b.get("user_new", "/v1/workspaces/org_1").status, "Clerk is back")
	require.Contains(t, b.logs.take(), "look-up at Clerk failed")
}

// TestRefresh_LogsOneFailureASecond: the line has none of the ids that the error names.
func TestRefresh_LogsOneFailureASecond(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.directory.answers(func(context.Context, store.Pair) error { return errClerkAway })
	requireProblem(t, b.get("user_new", "/v1/workspaces/org_1"), http.StatusNotFound, "")
	logged := b.logs.take()
	require.Contains(t, logged, `"level":"WARN"`)
	require.Contains(t, logged, "GET /organizations/{organization_id}/memberships?user_id={user_id}: 500")
	require.NotContains(t, logged, "user_new")
	for i := range 3 {
		requireProblem(t, b.get(fmt.Sprintf("user_%d", i), "/v1/workspaces/org_1"), http.StatusNotFound, "")
	}
	require.Empty(t, b.logs.take())
	b.clock.advance(time.Second)
	b.get("user_3", "/v1/me")
	require.Equal(t, 1, strings.Count(b.logs.take(), "\n"))
}

// TestRefresh_AnswerNotReadBackCountsAsFailed: the mirror fails just after the look-up.
func TestRefresh_AnswerNotReadBackCountsAsFailed(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	reads := 0
	b.db.query = func(context.Context) error {
		if reads++; reads == 2 {
			return errors.New("connection reset")
		}
		return nil
	}
	b.joins()
	require.Equal(t, http.StatusOK, b.get("user_new", "/v1/workspaces/org_1/me").status)
	require.Equal(t, []lookup.Result{lookup.Failed}, b.directory.takeResults())
	require.Contains(t, b.logs.take(), "connection reset")
}

// TestRefresh_LimitsLookUpsPerUser: a user has five look-ups, and one more every two seconds. Other
// users aren't limited by it.
func TestRefresh_LimitsLookUpsPerUser(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	var answers []<-chan exchange
	for i := range 20 {
		answers = append(answers, b.later(t.Context(), "user_1", fmt.Sprintf("/v1/workspaces/org_%d", i)))
	}
	for _, answer := range answers {
		requireProblem(t, <-answer, http.StatusNotFound, "")
	}
	require.Len(t, b.directory.takeAsked(), 5)
	require.Equal(t, map[lookup.Result]int{lookup.Refused: 5, lookup.Limited: 15}, counts(b.directory.takeResults()))

	b.get("user_1", "/v1/me")
	require.Empty(t, b.directory.takeAsked(), "the same limit for all look-ups of a user")
	b.get("user_2", "/v1/workspaces/org_0")
	require.Len(t, b.directory.takeAsked(), 1)
	b.clock.advance(2 * time.Second)
	for i := range 3 {
		b.get("user_1", fmt.Sprintf("/v1/workspaces/org_later%d", i))
	}
	require.Len(t, b.directory.takeAsked(), 1)
}

// TestRefresh_SurvivesAPanicOfALookUp: a look-up runs outside the request, whose guard can't catch
// its panic.
func TestRefresh_SurvivesAPanicOfALookUp(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.directory.answers(func(context.Context, store.Pair) error { panic("a secret of goroutine 1") })
	requireProblem(t, b.get("user_new", "/v1/workspaces/org_1"), http.StatusNotFound, "")
	logged := b.logs.take()
	require.Contains(t, logged, "look-up panicked")
	require.Contains(t, logged, "_test.go", "the log says where")
	b.joins()
	require.Equal(t, http.StatusOK, b.get("user_new", "/v1/workspaces/org_1/me").status)
}
