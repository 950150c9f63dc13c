package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// requireType requires a problem of a status and a type.
func requireType(tb testing.TB, x exchange, status int, kind string) {
	tb.Helper()
	require.Equal(tb, status, x.status, "%s", x.body)
	var body problem
	require.NoError(tb, json.Unmarshal(x.body, &body))
	require.Equal(tb, problemType+kind, body.Type)
}

// memberTargets lists reads about a workspace that its admin may make.
func memberTargets(workspaceID string) []string {
	base := "/v1/workspaces/" + workspaceID
	return []string{
		base + "?", base + "/me?", base + "/members?", base + "/invitations?", base + "/audit?", base + "/audit/export?",
		authorizeTarget(workspaceID, "members:read") + "&",
	}
}

// patient is a RevisionWait for tests in which the revision is reached. It is long enough for a
// busy machine.
const patient = requestTimeout - time.Second

// readDB signals each read of the mirror.
type readDB struct {
	store.DBTX

	reads chan struct{}
}

func (d readDB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := d.DBTX.Query(ctx, sql, args...)
	select {
	case d.reads <- struct{}{}:
	default:
	}
	return rows, err
}

// TestMinRevision_WaitsUntilReached: the answer waits until the mirror has the revision, and is
// decided only then.
func TestMinRevision_WaitsUntilReached(t *testing.T) {
	t.Parallel()
	reads := make(chan struct{})
	b := setupServer(t, func(c *Config) { c.DB, c.RevisionWait = readDB{DBTX: c.DB, reads: reads}, patient })
	b.world.member("org_1", "user_1", "org:member", nil) // revision 1

	for i, get := range []func(query string) exchange{
		func(query string) exchange { return b.get("user_1", "/v1/workspaces/org_1/me?"+query) },
		func(query string) exchange {
			return b.get("user_1", authorizeTarget("org_1", "reports:read")+"&"+query)
		},
	} {
		next := strconv.Itoa(i + 2)
		answered := make(chan exchange, 1)
		go func() { answered <- get("min_revision=" + next) }()
		<-reads // it has read a mirror without the revision
		b.world.member("org_1", "user_other"+next, "org:member", nil)
		x := <-answered
		require.Equal(t, http.StatusOK, x.status, "%s", x.body)
		require.Equal(t, next, x.header.Get(headerRevision))
	}

	answered := make(chan exchange, 1)
	go func() { answered <- b.get("user_1", "/v1/workspaces/org_1/me?min_revision=4") }()
	<-reads
	b.world.remove("org_1", "user_1") // revision 4
	requireType(t, <-answered, http.StatusNotFound, "not-found")
}

func TestMinRevision_NeverReachedIs409(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_1", "user_member", "org:member", nil)
	b.world.swept()
	for _, target := range memberTargets("org_1") {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, http.StatusOK, b.get("user_1", target+"min_revision=2").status)
			began := time.Now()
			x := b.get("user_1", target+"min_revision=3")
			requireType(t, x, http.StatusConflict, "revision-not-reached")
			require.GreaterOrEqual(t, time.Since(began), defaultRevisionWait)
			require.Equal(t, "2", x.header.Get(headerRevision))
			require.NotEmpty(t, x.header.Get(headerAsOf))
		})
	}
	t.Run("a refusal stands", func(t *testing.T) {
		t.Parallel()
		x := b.get("user_member", authorizeTarget("org_1", "billing:manage")+"&min_revision=3")
		requireProblem(t, x, http.StatusForbidden, clerksync.ReasonPermissionMissing)
		require.Equal(t, "2", x.header.Get(headerRevision))
	})
	t.Run("commands, too", func(t *testing.T) {
		t.Parallel()
		x := b.send("user_1", http.MethodDelete, "/v1/workspaces/org_1/members/user_member?min_revision=3", "")
		requireType(t, x, http.StatusConflict, "revision-not-reached")
	})
}

// TestFreshness_StrangersLearnNothing: a demand changes neither the stranger's 404 nor its time,
// whether the workspace exists or not.
func TestFreshness_StrangersLearnNothing(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_gone", "user_stranger", "org:admin", nil)
	b.world.deleteOrganization("org_gone")
	want := b.get("user_stranger", "/v1/workspaces/org_none")
	began := time.Now()
	for _, workspaceID := range []string{"org_1", "org_none", "org_gone"} {
		for _, target := range memberTargets(workspaceID) {
			for _, demand := range []string{"min_revision=9", "max_staleness=1", "min_revision=x", "min_revision=1&min_revision=2"} {
				if demand == "min_revision=1&min_revision=2" && target == memberTargets(workspaceID)[6] {
					continue // that route checks its parameters before the caller's standing
				}
				x := b.get("user_stranger", target+demand)
				require.Equal(t, http.StatusNotFound, x.status, target+demand)
				require.Equal(t, want.body, x.body)
				x.header.Del("Date")
				require.Len(t, x.header, len(want.header)-1)
			}
		}
	}
	require.Less(t, time.Since(began), 30*defaultRevisionWait, "84 requests, none of which waits")
}

// TestMaxStaleness_RefusesAStaleMirror, and counts the requests that it refuses so. A stale
// decision among others is no refused request.
func TestMaxStaleness_RefusesAStaleMirror(t *testing.T) {
	t.Parallel()
	var ahead, stale atomic.Int64 // ahead: of the sweep's time, in nanoseconds
	var now func() time.Time
	b := setupServer(t, func(c *Config) {
		c.Now = func() time.Time { return now() }
		c.Stale = func() { stale.Add(1) }
	})
	now = func() time.Time { return b.world.now().Add(time.Duration(ahead.Load())) }
	b.world.member("org_1", "user_member", "org:member", nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.swept()

	ahead.Store(int64(10 * time.Second))
	for _, target := range memberTargets("org_1") {
		require.Equal(t, http.StatusOK, b.get("user_1", target+"max_staleness=10").status, target)
		x := b.get("user_1", target+"max_staleness=9")
		requireType(t, x, http.StatusServiceUnavailable, "stale")
		require.Equal(t, "2", x.header.Get(headerRevision))
		require.NotEmpty(t, x.header.Get(headerAsOf))
	}
	require.Equal(t, int64(len(memberTargets("org_1"))), stale.Swap(0))
	many := b.post(serviceToken, `{"checks":[{"user_id":"user_1","workspace_id":"org_1","permission":"billing:manage"}],"max_staleness":9}`)
	require.Equal(t, http.StatusOK, many.status)
	require.Contains(t, string(many.body), `"stale"`)
	x := b.get("user_member", authorizeTarget("org_1", "billing:manage")+"&max_staleness=1")
	requireProblem(t, x, http.StatusForbidden, clerksync.ReasonPermissionMissing)
	ahead.Store(int64(time.Second))
	require.Equal(t, http.StatusOK, b.get("user_1", "/v1/workspaces/org_1?max_staleness=1").status)
	require.Zero(t, stale.Load())
}

// TestMaxStaleness_RefusesAfterALostDemotion: until the next sweep the workspace is stale, although
// another webhook about it has just arrived.
func TestMaxStaleness_RefusesAfterALostDemotion(t *testing.T) {
	t.Parallel()
	var now func() time.Time
	b := setupServer(t, func(c *Config) { c.Now = func() time.Time { return now() } })
	now = b.world.now
	b.world.organization("org_1", "North", nil)
	began := b.world.now().Add(-time.Second).Format(time.RFC3339Nano)
	b.world.member("org_1", "user_demoted", "org:admin", nil)
	b.world.member("org_1", "user_admin", "org:admin", nil)
	demotion := b.world.membership(clerksync.MembershipUpdated, "org_1", "user_demoted", "org:member", nil)

	b.world.events += 3600
	b.world.organization("org_1", "North, renamed", map[string]any{"created_at": nil})
	may := func(user, workspace string) exchange {
		return b.get(user, authorizeTarget(workspace, "billing:manage")+"&max_staleness=300")
	}
	x := may("user_demoted", "org_1")
	requireType(t, x, http.StatusServiceUnavailable, "stale")
	require.Equal(t, began, x.header.Get(headerAsOf))
	checked := answerOf[decisionsBody](t, b.post(serviceToken,
		`{"checks":[{"user_id":"user_demoted","workspace_id":"org_1","permission":"billing:manage"}],"max_staleness":300}`)).Decisions[0]
	require.Equal(t, clerksync.ReasonStale, checked.Reason)
	require.False(t, checked.Allowed)

	b.world.organization("org_new", "South", nil)
	b.world.member("org_new", "user_demoted", "org:admin", nil)
	require.Equal(t, http.StatusOK, may("user_demoted", "org_new").status, "nothing can be lost from before its creation")

	b.world.apply(demotion) // as the sweep does
	b.world.swept()
	requireProblem(t, may("user_demoted", "org_1"), http.StatusForbidden, clerksync.ReasonPermissionMissing)
	require.Equal(t, http.StatusOK, may("user_admin", "org_1").status)
}

func TestFreshness_RefusesBadDemands(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	for _, query := range []string{
		"min_revision=", "min_revision=-1", "min_revision=x", "min_revision=1.0", "min_revision=9223372036854775808", "min_revision=1&min_revision=1",
		"max_staleness=0", "max_staleness=-1", "max_staleness=1.5", "max_staleness=31622401", "max_staleness=10s", "max_staleness=5&max_staleness=6",
		"min_revision=%zz", "min_revison=1",
	} {
		for _, target := range memberTargets("org_1") {
			requireProblem(t, b.get("user_1", target+query), http.StatusBadRequest, "")
		}
		const check = `"checks":[{"user_id":"user_1","workspace_id":"org_1","permission":"members:read"}]`
		for _, field := range []string{`"min_revision":-1`, `"min_revision":"1"`, `"min_revision":1.5`, `"max_staleness":0`, `"max_staleness":31622401`} {
			requireProblem(t, b.post(serviceToken, "{"+check+","+field+"}"), http.StatusBadRequest, "")
		}
	}
}

func TestAuthorizeMany_DemandsFreshness(t *testing.T) {
	t.Parallel()
	reads := make(chan struct{})
	var now func() time.Time
	b := setupServer(t, func(c *Config) {
		c.DB, c.RevisionWait = readDB{DBTX: c.DB, reads: reads}, patient
		c.Now = func() time.Time { return now() }
	})
	now = func() time.Time { return b.world.now().Add(time.Minute) }
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_2", "user_1", "org:admin", nil)
	b.world.swept()
	ask := func(demand string) []clerksync.Reason {
		const check = `{"user_id":%q,"workspace_id":%q,"permission":"members:read"}`
		x := b.post(serviceToken, `{"checks":[`+fmt.Sprintf(check, "user_1", "org_1")+","+fmt.Sprintf(check, "user_1", "org_2")+","+
			fmt.Sprintf(check, "user_2", "org_1")+`],`+demand+`}`)
		var reasons []clerksync.Reason
		for _, d := range answerOf[decisionsBody](t, x).Decisions {
			reasons = append(reasons, d.Reason)
			require.Equal(t, d.Reason == clerksync.ReasonAllowed, d.Allowed)
		}
		return reasons
	}
	const allowed, stale, stranger = clerksync.ReasonAllowed, clerksync.ReasonStale, clerksync.ReasonNotAMember
	require.Equal(t, []clerksync.Reason{allowed, allowed, stranger}, ask(`"min_revision":1,"max_staleness":61`))
	require.Equal(t, []clerksync.Reason{allowed, allowed, stranger}, ask(`"min_revision":null,"max_staleness":null`))
	require.Equal(t, []clerksync.Reason{stale, stale, stranger}, ask(`"max_staleness":59`))
	require.Equal(t, []clerksync.Reason{allowed, stale, stranger}, ask(`"min_revision":2`), "each workspace has its own")

	answered := make(chan []clerksync.Reason, 1)
	go func() { answered <- ask(`"min_revision":3`) }()
	<-reads
	b.world.member("org_1", "user_2", "org:admin", nil)
	b.world.member("org_2", "user_3", "org:admin", nil)
	b.world.member("org_2", "user_4", "org:admin", nil)
	require.Equal(t, []clerksync.Reason{allowed, allowed, allowed}, <-answered)
}
