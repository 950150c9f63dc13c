package clerksim_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

const membershipRoute = "GET /organization_memberships"

// faultyAPI is a world with 25 members in 3 organizations, behind faults.
type faultyAPI struct {
	world  *clerksim.World
	clock  *clock
	faults *clerksim.APIFaults
	client *http.Client
}

func newFaultyAPI(t *testing.T, cfg clerksim.Config) faultyAPI {
	t.Helper()
	w, c := newWorld(t, cfg)
	w.Populate(3, 25)
	faults := clerksim.NewAPIFaults()
	client := &http.Client{Transport: inProcess{w.Handler(faults.Middleware)}}
	return faultyAPI{world: w, clock: c, faults: faults, client: client}
}

func (a faultyAPI) get(t *testing.T, path string) (int, http.Header, []byte) {
	t.Helper()
	status, header, body, err := a.do(t.Context(), path)
	require.NoError(t, err)
	return status, header, body
}

func (a faultyAPI) do(ctx context.Context, path string) (status int, header http.Header, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.callmine.test"+path, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+a.world.SecretKey())
	response, err := a.client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header, body, err
}

func (a faultyAPI) status(t *testing.T, path string) int {
	t.Helper()
	status, _, _ := a.get(t, path)
	return status
}

func (a faultyAPI) list(t *testing.T, path string) page {
	t.Helper()
	status, _, body := a.get(t, path)
	require.Equal(t, http.StatusOK, status, "%s", body)
	var p page
	require.NoError(t, json.Unmarshal(body, &p))
	return p
}

func TestFault_FailuresComeAndGo(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	lift := a.faults.Fail(http.StatusBadGateway, nil)
	status, header, body := a.get(t, "/v1/users")
	require.Equal(t, http.StatusBadGateway, status)
	require.Equal(t, "application/json", header.Get("Content-Type"))
	require.NotEmpty(t, decode(t, body)["clerk_trace_id"])
	require.Equal(t, http.StatusOK, a.status(t, "/.well-known/jwks.json"), "the key set isn't the Backend API")
	lift()
	lift()
	require.Equal(t, http.StatusOK, a.status(t, "/v1/users"))

	a.faults.FailWithHTML(http.StatusServiceUnavailable, clerksim.OnRoute("GET /users", 3))
	a.faults.FailWithRetryAfter(http.StatusTooManyRequests, "Soon", clerksim.OnRoute("GET /instance"))
	status, header, body = a.get(t, "/v1/users")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, header.Get("Content-Type"), "text/html")
	require.False(t, json.Valid(body))
	require.Equal(t, http.StatusOK, a.status(t, "/v1/users"), "the fourth")
	status, header, _ = a.get(t, "/v1/instance")
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "Soon", header.Get("Retry-After"))

	a.faults.Clear()
	require.Equal(t, http.StatusOK, a.status(t, "/v1/instance"))
	a.faults.Down()
	require.Equal(t, http.StatusServiceUnavailable, a.status(t, "/v1/instance"))
	require.Equal(t, http.StatusServiceUnavailable, a.status(t, "/.well-known/jwks.json"))
	require.Equal(t, map[string]int{"GET /users": 4, "GET /instance": 3, clerksim.KeySetRoute: 2}, a.faults.Calls())
}

func TestFault_Matches(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		when clerksim.Match
		want []int // which of ten calls fail
	}{
		"every third":      {clerksim.EveryNth(3), []int{3, 6, 9}},
		"two at most":      {clerksim.Times(2, nil), []int{1, 2}},
		"two of a route":   {clerksim.Times(2, clerksim.OnRoute("GET /users", 4, 5, 6)), []int{4, 5}},
		"another route":    {clerksim.OnRoute("GET /users/{id}"), nil},
		"a page":           {clerksim.OnPage("GET /users", "70"), []int{7}},
		"listings":         {clerksim.Listings, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		"look-ups, no one": {clerksim.Lookups, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newFaultyAPI(t, clerksim.Config{})
			a.faults.Fail(http.StatusInternalServerError, tc.when)
			var failed []int
			for i := range 10 {
				if a.status(t, "/v1/users?offset="+strconv.Itoa(10*(i+1))) != http.StatusOK {
					failed = append(failed, i+1)
				}
			}
			require.Equal(t, tc.want, failed)
		})
	}
}

func TestFault_RoutesAreNamedByPattern(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	second := a.faults.Reached("GET /users/{id}", 2)
	require.Equal(t, http.StatusNotFound, a.status(t, "/v1/users/user_1"))
	require.False(t, closed(second))
	require.Equal(t, http.StatusNotFound, a.status(t, "/v1/users/user_2"))
	require.True(t, closed(second))
	require.True(t, closed(a.faults.Reached("GET /users/{id}", 1)))
	a.status(t, "/v1/users/count")
	a.status(t, "/v1/organizations/org_1/memberships?user_id=user_1")
	a.status(t, "/v1/elsewhere")
	require.Equal(t, map[string]int{
		"GET /users/{id}": 2, "GET /users/count": 1, "GET /organizations/{id}/memberships": 1, "": 1,
	}, a.faults.Calls())
}

func TestFault_HangingCallEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	faults := clerksim.NewAPIFaults()
	faults.Hang(nil)
	server := httptest.NewServer(w.Handler(faults.Middleware))
	defer server.Close() // waits for the calls under way
	for _, tc := range []struct{ route, body string }{
		{"GET /users", ""}, {"POST /organizations", `{"name":"never made"}`},
	} {
		ctx, giveUp := context.WithCancel(t.Context())
		method, path, _ := strings.Cut(tc.route, " ")
		req, err := http.NewRequestWithContext(ctx, method, server.URL+"/v1"+path, strings.NewReader(tc.body))
		require.NoError(t, err)
		var wg sync.WaitGroup
		wg.Go(func() {
			response, err := server.Client().Do(req)
			if err == nil {
				_ = response.Body.Close()
			}
			require.ErrorIs(t, err, context.Canceled)
		})
		<-faults.Reached(tc.route, 1)
		giveUp()
		wg.Wait()
	}
	require.Empty(t, w.Directory().Organizations)
}

func TestFault_HeldCallKeepsItsBody(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	faults := clerksim.NewAPIFaults()
	faults.Slow(func(context.Context) error { return nil }, nil)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/organizations", strings.NewReader(`{"name":"A"}`))
	req.Header.Set("Authorization", "Bearer "+w.SecretKey())
	recorder := httptest.NewRecorder()
	w.Handler(faults.Middleware).ServeHTTP(recorder, req)
	require.Equal(t, http.StatusOK, recorder.Code, "%s", recorder.Body)
	require.Len(t, w.Directory().Organizations, 1)
}

func TestFault_ConnectionsBreak(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	faults := clerksim.NewAPIFaults()
	faults.Slow(func(context.Context) error { return io.ErrUnexpectedEOF }, nil)
	server := httptest.NewServer(w.Handler(faults.Middleware))
	defer server.Close()
	response, err := server.Client().Get(server.URL + "/v1/users")
	if err == nil {
		_ = response.Body.Close()
	}
	require.ErrorIs(t, err, io.EOF)
}

func TestFault_SlowAnswersWaitForTheTest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newFaultyAPI(t, clerksim.Config{})
		a.faults.Slow(func(ctx context.Context) error {
			select {
			case <-time.After(3 * time.Second): // on the bubble's clock
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, nil)
		began := time.Now()
		require.Equal(t, http.StatusOK, a.status(t, "/v1/users"))
		require.Equal(t, 3*time.Second, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, _, err := a.do(ctx, "/v1/users")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestFault_WorldChangesAroundAnAnswer(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	ban := func(call clerksim.Call) {
		id := call.Request.URL.Path[len("/v1/users/"):]
		_, err := a.world.BanUser(id)
		require.NoError(t, err)
	}
	banned := func(id string) any {
		_, _, body := a.get(t, "/v1/users/"+id)
		return decode(t, body)["banned"]
	}
	first, second := createUser(t, a.world, clerksim.NewUser{}), createUser(t, a.world, clerksim.NewUser{})
	lift := a.faults.BeforeAnswer(ban, clerksim.OnRoute("GET /users/{id}"))
	require.Equal(t, true, banned(first.ID))
	lift()
	a.faults.AfterAnswer(ban, clerksim.OnRoute("GET /users/{id}", 2))
	require.Equal(t, false, banned(second.ID), "not in this answer")
	require.Equal(t, true, banned(second.ID), "and in the next one")
}

func TestFault_BodiesAreCut(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	_, _, whole := a.get(t, "/v1/organizations")
	a.faults.CutBody(nil)
	status, _, cut := a.get(t, "/v1/organizations")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, whole[:len(whole)/2], cut)
}

func TestFault_ListsAreShortOrMiscounted(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	const path = "/v1/organization_memberships?limit=20&order_by=%2Bcreated_at"
	want := ids(a.list(t, path).Data)
	lift := a.faults.ShortenPages(3, clerksim.OnRoute(membershipRoute))
	short := a.list(t, path)
	require.Equal(t, want[:17], ids(short.Data))
	require.Equal(t, 25, short.TotalCount, "the total stays")
	require.Empty(t, a.list(t, path+"&offset=23").Data)
	lift()
	a.faults.MiscountTotals(-5, nil)
	miscounted := a.list(t, path)
	require.Equal(t, want, ids(miscounted.Data))
	require.Equal(t, 20, miscounted.TotalCount)
	_, _, count := a.get(t, "/v1/users/count")
	require.Equal(t, int64(20), number(t, decode(t, count)["total_count"]))
}

func TestFault_ObjectsAreOmitted(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	m := a.world.Directory().Memberships()[0]
	listing := "/v1/organization_memberships?limit=500"
	lookup := "/v1/organizations/" + m.OrganizationID + "/memberships?user_id=" + m.UserID
	user, organization := "/v1/users/"+m.UserID, "/v1/organizations/"+m.OrganizationID
	hidden := []string{m.ID, m.UserID, m.OrganizationID}

	lift := a.faults.Omit(clerksim.Listings, hidden...)
	listed := a.list(t, listing)
	require.NotContains(t, ids(listed.Data), m.ID)
	require.Len(t, listed.Data, 24)
	require.Equal(t, 24, listed.TotalCount, "the count doesn't give it away")
	require.Equal(t, 2, a.list(t, "/v1/organizations").TotalCount)
	require.Equal(t, []string{m.ID}, ids(a.list(t, lookup).Data))
	require.Equal(t, http.StatusOK, a.status(t, user))
	lift()

	a.faults.Omit(clerksim.Lookups, hidden...)
	require.Contains(t, ids(a.list(t, listing).Data), m.ID)
	require.Equal(t, 3, a.list(t, "/v1/organizations").TotalCount)
	require.Zero(t, a.list(t, lookup).TotalCount)
	require.Zero(t, a.list(t, "/v1/organizations?organization_id="+m.OrganizationID).TotalCount)
	require.Equal(t, http.StatusNotFound, a.status(t, user))
	require.Equal(t, http.StatusNotFound, a.status(t, organization))
}

func TestFault_KeyOfAnotherInstance(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{InstanceID: "ins_ours"})
	lift := a.faults.PoseAs("ins_theirs")
	_, _, body := a.get(t, "/v1/instance")
	require.Equal(t, "ins_theirs", decode(t, body)["id"])
	lift()
	_, _, body = a.get(t, "/v1/instance")
	require.Equal(t, "ins_ours", decode(t, body)["id"])
}

func TestAPI_RateLimit(t *testing.T) {
	t.Parallel()
	production, _ := newWorld(t, clerksim.Config{EnvironmentType: "production"})
	require.Equal(t, 1000, production.RateLimit())
	a := newFaultyAPI(t, clerksim.Config{})
	require.Equal(t, 100, a.world.RateLimit())
	a.faults.LimitRate(a.world.RateLimit(), a.clock.Now)
	exhaust := func() {
		for range 100 {
			require.Equal(t, http.StatusOK, a.status(t, "/v1/instance"))
		}
	}
	exhaust()
	a.clock.advance(6500 * time.Millisecond)
	status, header, body := a.get(t, "/v1/instance")
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "4", header.Get("Retry-After"), "3.5 seconds, rounded up")
	require.Contains(t, decode(t, body), "errors")
	require.Equal(t, http.StatusOK, a.status(t, "/.well-known/jwks.json"), "doesn't count")
	a.clock.advance(3500*time.Millisecond - 1)
	require.Equal(t, http.StatusTooManyRequests, a.status(t, "/v1/instance"))
	a.clock.advance(1)
	exhaust()
	require.Equal(t, http.StatusTooManyRequests, a.status(t, "/v1/instance"))
}

func TestFault_ChangesWhileServing(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, _, _, err := a.do(t.Context(), "/v1/organizations"); err != nil {
					t.Errorf("call: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				lift := a.faults.Fail(http.StatusInternalServerError, clerksim.EveryNth(2))
				a.faults.Calls()
				lift()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 200, a.faults.Calls()["GET /organizations"])
	require.Equal(t, http.StatusOK, a.status(t, "/v1/organizations?"+url.Values{"limit": {"1"}}.Encode()))
}

// closed reports whether a signal was given.
func closed(signal <-chan struct{}) bool {
	select {
	case <-signal:
		return true
	default:
		return false
	}
}
