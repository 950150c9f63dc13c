package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/jobs/lookup"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// refreshJSON is the body that asks about each check, with look-ups at Clerk.
func refreshJSON(tb testing.TB, checks ...checkBody) string {
	tb.Helper()
	body, err := json.Marshal(checksBody{Checks: checks, Refresh: true})
	require.NoError(tb, err)
	return string(body)
}

func TestAuthorizeMany_AsksClerkOnlyIfTold(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.world.member("org_1", "user_old", "org:admin", nil)
	b.joins()
	checks := []checkBody{
		{"user_new", "org_1", "members:read"}, {"user_old", "org_1", "members:read"}, {"user_new", "org_1", "no:such"},
	}
	reasons := func(body string) (all []clerksync.Reason) {
		for _, d := range answerOf[decisionsBody](t, b.post(serviceToken, body)).Decisions {
			all = append(all, d.Reason)
		}
		return all
	}
	require.Equal(t, []clerksync.Reason{"not_a_member", "allowed", "not_a_member"}, reasons(checksJSON(t, checks...)))
	require.Empty(t, b.directory.takeAsked())
	require.Equal(t, []clerksync.Reason{"allowed", "allowed", "unknown_permission"}, reasons(refreshJSON(t, checks...)))
	require.Equal(t, []store.Pair{{UserID: "user_new", OrganizationID: "org_1"}}, b.directory.takeAsked())

	for _, refresh := range []string{`"yes"`, "1", "{}"} {
		body := `{"checks":[{"user_id":"user_1","workspace_id":"org_1","permission":"p"}],"refresh":` + refresh + `}`
		requireProblem(t, b.post(serviceToken, body), http.StatusBadRequest, "")
	}
	requireProblem(t, b.post("user_1", refreshJSON(t, checks...)), http.StatusForbidden, "")
	require.Empty(t, b.directory.takeAsked())
}

// TestAuthorizeMany_LooksUpTheFirstFew: five look-ups run at the same time. Remembered ones don't
// count.
func TestAuthorizeMany_LooksUpTheFirstFew(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	requireProblem(t, b.get("user_0", "/v1/workspaces/org_1"), http.StatusNotFound, "")
	b.directory.answers(func(context.Context, store.Pair) error { return errClerkAway })
	requireProblem(t, b.get("user_1", "/v1/workspaces/org_1"), http.StatusNotFound, "")
	require.NotEmpty(t, b.logs.take())
	b.directory.takeAsked()
	b.directory.takeResults()

	b.directory.begun = make(chan store.Pair)
	together := make(chan struct{})
	b.directory.answers(func(ctx context.Context, _ store.Pair) error {
		select {
		case <-together:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	go func() {
		for range 5 { // as many as run at once
			<-b.directory.begun
		}
		close(together)
	}()
	var checks []checkBody
	for i := range 10 {
		checks = append(checks, checkBody{fmt.Sprintf("user_%d", i/2), "org_1", "p"}, checkBody{fmt.Sprintf("user_%d", i), "org_1", "p"})
	}
	for _, d := range answerOf[decisionsBody](t, b.post(serviceToken, refreshJSON(t, checks...))).Decisions {
		require.Equal(t, clerksync.ReasonNotAMember, d.Reason)
	}
	var users []string
	for _, pair := range b.directory.takeAsked() {
		users = append(users, pair.UserID)
	}
	slices.Sort(users)
	require.Equal(t, []string{"user_2", "user_3", "user_4", "user_5", "user_6"}, users)
	require.Equal(t, map[lookup.Result]int{lookup.Remembered: 2, lookup.Refused: 5, lookup.Limited: 3}, counts(b.directory.takeResults()))
}

func counts(outcomes []lookup.Result) map[lookup.Result]int {
	n := map[lookup.Result]int{}
	for _, o := range outcomes {
		n[o]++
	}
	return n
}

// TestAuthorizeMany_AnswersWhileClerkHangs: all look-ups together take one second, and members are
// decided as always.
func TestAuthorizeMany_AnswersWhileClerkHangs(t *testing.T) {
	t.Parallel()
	b := setupRefreshWithin(t, 0)
	b.world.member("org_1", "user_old", "org:admin", nil)
	b.directory.answers(hang)
	began := time.Now()
	decisions := answerOf[decisionsBody](t, b.post(serviceToken, refreshJSON(t,
		checkBody{"user_1", "org_1", "p"}, checkBody{"user_2", "org_1", "p"}, checkBody{"user_3", "org_1", "p"}, checkBody{"user_old", "org_1", "members:read"},
	))).Decisions
	require.Less(t, time.Since(began), patience)
	require.Equal(t, clerksync.ReasonNotAMember, decisions[0].Reason)
	require.True(t, decisions[3].Allowed)
	require.Eventually(t, func() bool { return b.logs.take() != "" }, 10*time.Second, time.Millisecond)
}
