package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// endSession applies the event of a session's end.
func (w *world) endSession(event clerksync.EventType, id string) {
	w.tb.Helper()
	w.apply(w.delivery(event, map[string]any{"object": "session", "id": id, "status": "ended"}))
}

// requireSessionEnded requires the refusal of a token whose session has ended.
func requireSessionEnded(t *testing.T, x exchange) {
	t.Helper()
	require.Equal(t, http.StatusUnauthorized, x.status, "%s %s: %s", x.request.Method, x.request.URL, x.body)
	require.Contains(t, string(x.body), `"type":"urn:rolecall:problem:session-ended"`)
	require.Equal(t, auth.ReasonSessionEnded.Challenge(), x.header.Get("WWW-Authenticate"))
	require.Empty(t, x.header.Get(headerRevision))
}

// TestSessions_EndedOneIsRefusedOnEachRouteForUsers, whether it is the user's or an impersonator's.
// An impersonator's refused account counts as an ended session. It doesn't matter whether the
// workspace exists. The refusal is neither a decision nor a look-up.
func TestSessions_EndedOneIsRefusedOnEachRouteForUsers(t *testing.T) {
	t.Parallel()
	asked, refused := &askedPairs{}, 0
	b := setupServer(t, func(c *Config) {
		c.Refresher = asked
		c.Refused = func(reason auth.Reason) { require.Equal(t, auth.ReasonSessionEnded, reason); refused++ }
		c.Decided = func(reason clerksync.Reason) { require.Fail(t, "decided", reason) }
	})
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.endSession(clerksync.SessionRevoked, "sess_9")
	b.world.account("user_fired", map[string]any{"banned": true})
	doc, all := operations(t)
	routes := 0
	for _, o := range all {
		if users, _ := o.takes(doc); !users {
			continue
		}
		target := o.target()
		if o.path == "/v1/authorize" {
			target += "?permission=members:read&workspace_id=org_1"
		}
		for _, token := range []string{"user_1/session=sess_9", "user_1/act=user_2/act_session=sess_9", "user_1/act=user_fired", "user_9/session=sess_9"} {
			requireSessionEnded(t, b.send(token, o.method, target, "{}", "Content-Type", "application/json"))
		}
		routes += 4
	}
	require.Greater(t, routes, 40)
	require.Equal(t, routes, refused)
	require.Empty(t, asked.pairs)
}

// TestSessions_OthersGoOn: those of the same user, and a service that acts for the user.
func TestSessions_OthersGoOn(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	target := authorizeTarget("org_1", "members:manage")
	for i, event := range []clerksync.EventType{clerksync.SessionRevoked, clerksync.SessionEnded, clerksync.SessionRemoved} {
		id := "sess_" + string("abc"[i])
		require.True(t, answerOf[decisionBody](t, b.get("user_1/session="+id, target)).Allowed)
		b.world.endSession(event, id)
		requireSessionEnded(t, b.get("user_1/session="+id, target))
		requireSessionEnded(t, b.get("user_1/session="+id, "/v1/me"))
	}
	b.world.endSession(clerksync.SessionEnded, "sess_a") // again, which changes nothing
	require.True(t, answerOf[decisionBody](t, b.get("user_1", target)).Allowed)
	require.True(t, answerOf[decisionBody](t, b.get("user_1/session=", target)).Allowed, "a template's token names no session")
	require.True(t, answerOf[decisionBody](t, b.get(serviceToken, target, headerOnBehalfOf, "user_1")).Allowed)
	require.Equal(t, "user_1", answerOf[meBody](t, b.get("user_1", "/v1/me")).UserID)
}

// TestSessions_EndDuringAWaitCounts: a request that waits for a revision is refused once its
// session has ended.
func TestSessions_EndDuringAWaitCounts(t *testing.T) {
	t.Parallel()
	reads := make(chan struct{})
	b := setupServer(t, func(c *Config) { c.DB, c.RevisionWait = readDB{DBTX: c.DB, reads: reads}, patient })
	b.world.member("org_1", "user_1", "org:admin", nil)
	answered := make(chan exchange, 1)
	go func() { answered <- b.get("user_1", authorizeTarget("org_1", "members:manage")+"&min_revision=2") }()
	<-reads // it has read a mirror without the revision
	b.world.endSession(clerksync.SessionEnded, "sess_1")
	b.world.member("org_1", "user_2", "org:admin", nil)
	requireSessionEnded(t, <-answered)
}

// TestSessions_AreForgottenOnceNoTokenNamesThem: an impersonated session goes on at Clerk, and gets
// new tokens that name the impersonator's session, long after that has ended.
func TestSessions_AreForgottenOnceNoTokenNamesThem(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	for _, id := range []string{"sess_1", "sess_2", "sess_3"} {
		b.world.endSession(clerksync.SessionEnded, id)
	}
	_, err := b.pool.Exec(t.Context(), `UPDATE rolecall.ended_sessions SET ended_at = now() - CASE id
		WHEN 'sess_1' THEN interval '8 days 1 minute' WHEN 'sess_2' THEN interval '7 days 23 hours 59 minutes' ELSE interval '0' END`)
	require.NoError(t, err)
	forgotten, err := store.PruneSessions(t.Context(), b.pool, store.SessionsNamed, 10)
	require.NoError(t, err)
	require.Equal(t, 1, forgotten)
	b.world.member("org_1", "user_1", "org:admin", nil)
	target := authorizeTarget("org_1", "members:manage")
	require.True(t, answerOf[decisionBody](t, b.get("user_1/session=sess_1", target)).Allowed)
	requireSessionEnded(t, b.get("user_1/session=sess_3", target))
	requireSessionEnded(t, b.get("user_1/session=sess_new/act=user_support/act_session=sess_2", target))
}
