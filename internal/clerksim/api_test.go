package clerksim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// call makes one GET without a network and returns status and body.
func call(t *testing.T, handler http.Handler, key, path string, query url.Values) (int, []byte) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path+"?"+query.Encode(), nil)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, req)
	require.Equal(t, "application/json", recorder.Header().Get("Content-Type"))
	return recorder.Code, recorder.Body.Bytes()
}

// callAPI makes one GET that has to succeed.
func callAPI(t *testing.T, w *clerksim.World, path string, query url.Values) []byte {
	t.Helper()
	status, body := call(t, w.Handler(), w.SecretKey(), path, query)
	require.Equal(t, http.StatusOK, status, "%s", body)
	return body
}

type page struct {
	Data       []object `json:"data"`
	TotalCount int      `json:"total_count"`
}

func callList(t *testing.T, w *clerksim.World, path string, query url.Values) page {
	t.Helper()
	var p page
	require.NoError(t, json.Unmarshal(callAPI(t, w, path, query), &p))
	return p
}

func ids(objects []object) []string {
	var all []string
	for _, o := range objects {
		id, _ := o["id"].(string)
		all = append(all, id)
	}
	return all
}

// populate makes an organization with n members and returns it with the members' ids, oldest first.
// Two memberships at a time are created in one millisecond.
func populate(t *testing.T, w *clerksim.World, c *clock, n int) (organizationID string, memberships []string) {
	t.Helper()
	admin := createUser(t, w, clerksim.NewUser{})
	o := createOrganization(t, w, admin.ID)
	m, _ := w.Membership(o.ID, admin.ID)
	memberships = append(memberships, m.ID)
	for i := range n - 1 {
		c.advance(time.Duration(i%2) * time.Millisecond)
		m, err := w.AddMember(o.ID, createUser(t, w, clerksim.NewUser{}).ID, "")
		require.NoError(t, err)
		memberships = append(memberships, m.ID)
	}
	return o.ID, memberships
}

func TestPaging(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	organizationID, want := populate(t, w, c, 23)
	for _, path := range []string{"/v1/organization_memberships", "/v1/organizations/" + organizationID + "/memberships"} {
		var got []string
		for _, offset := range []string{"0", "10", "20", "30"} {
			p := callList(t, w, path, url.Values{"offset": {offset}, "order_by": {"+created_at"}})
			require.Equal(t, 23, p.TotalCount)
			got = append(got, ids(p.Data)...)
		}
		require.Equal(t, want, got)
		newest := callList(t, w, path, url.Values{"limit": {"2"}, "offset": {"1"}})
		require.Equal(t, []string{want[21], want[20]}, ids(newest.Data))
		all := callList(t, w, path, url.Values{"limit": {"500"}, "order_by": {"-created_at"}})
		require.Len(t, all.Data, 23)
		require.Equal(t, want[22], all.Data[0]["id"])
	}
}

func TestPaging_ListIsNeverNull(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	require.JSONEq(t, `{"data":[],"total_count":0}`, string(callAPI(t, w, "/v1/organizations", nil)))
	require.JSONEq(t, `[]`, string(callAPI(t, w, "/v1/users", nil)))
}

func TestAPI_Lookups(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{InstanceID: "ins_test"})
	u, stranger := createUser(t, w, clerksim.NewUser{}), createUser(t, w, clerksim.NewUser{})
	o, err := w.CreateOrganization(clerksim.NewOrganization{Slug: "here", CreatedBy: u.ID})
	require.NoError(t, err)
	m, _ := w.Membership(o.ID, u.ID)

	require.Equal(t, o.ID, decode(t, callAPI(t, w, "/v1/organizations/"+o.ID, nil))["id"])
	bySlug := decode(t, callAPI(t, w, "/v1/organizations/here", url.Values{"include_members_count": {"true"}}))
	require.Equal(t, o.ID, bySlug["id"])
	require.Equal(t, int64(1), number(t, bySlug["members_count"]))
	require.Equal(t, u.ID, decode(t, callAPI(t, w, "/v1/users/"+u.ID, nil))["id"])
	require.Equal(t, "ins_test", decode(t, callAPI(t, w, "/v1/instance", nil))["id"])

	path := "/v1/organizations/" + o.ID + "/memberships"
	require.Equal(t, []string{m.ID}, ids(callList(t, w, path, url.Values{"user_id": {u.ID}}).Data))
	require.Empty(t, callList(t, w, path, url.Values{"user_id": {stranger.ID}}).Data)
	require.Zero(t, callList(t, w, path, url.Values{"user_id": {"-" + u.ID}}).TotalCount)
	require.Equal(t, []string{m.ID}, ids(callList(t, w, "/v1/users/"+u.ID+"/organization_memberships", nil).Data))
	require.Empty(t, callList(t, w, "/v1/users/"+stranger.ID+"/organization_memberships", nil).Data)
	require.Equal(t, []string{o.ID}, ids(callList(t, w, "/v1/organizations", url.Values{"organization_id": {o.ID}}).Data))

	roles := callList(t, w, "/v1/organization_roles", url.Values{"order_by": {"created_at"}})
	require.Equal(t, 2, roles.TotalCount)
	require.Equal(t, clerksim.RoleAdmin, roles.Data[0]["key"])
	require.Equal(t, 8, callList(t, w, "/v1/organization_permissions", nil).TotalCount)
}

func TestAPI_UsersAreABareArrayWithACursor(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	var want []string
	for range 5 {
		want = append(want, createUser(t, w, clerksim.NewUser{}).ID)
	}
	users := func(query url.Values) []string {
		var found []object
		require.NoError(t, json.Unmarshal(callAPI(t, w, "/v1/users", query), &found))
		return ids(found)
	}
	require.Equal(t, want[:3], users(url.Values{"limit": {"3"}, "order_by": {"+created_at"}}))
	require.Equal(t, want[3:], users(url.Values{"starting_after": {want[2]}, "order_by": {"+created_at"}}))
	require.Equal(t, []string{want[1], want[0]}, users(url.Values{"starting_after": {want[2]}}))
	require.Equal(t, []string{want[1]}, users(url.Values{"user_id": {want[1], "user_unknown"}}))
	require.Equal(t, int64(5), number(t, decode(t, callAPI(t, w, "/v1/users/count", nil))["total_count"]))
}

func TestAPI_AgreesWithEvents(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	u := createUser(t, w, clerksim.NewUser{})
	o := createOrganization(t, w, u.ID)
	messages := w.Drain()
	require.Equal(t, decode(t, messages[0].Body).at(t, "data"), decode(t, callAPI(t, w, "/v1/users/"+u.ID, nil)))
	require.Equal(t, decode(t, messages[1].Body).at(t, "data"), decode(t, callAPI(t, w, "/v1/organizations/"+o.ID, nil)))
}

func TestAPI_Errors(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	for name, tc := range map[string]struct {
		key, path string
		query     url.Values
		status    int
		code      clerksim.Code
	}{
		"no key":               {"", "/v1/users", nil, 401, clerksim.ErrUnauthorized},
		"wrong key":            {"sk_test_other", "/v1/users", nil, 401, clerksim.ErrUnauthorized},
		"keys need the key":    {"", "/v1/jwks", nil, 401, clerksim.ErrUnauthorized},
		"unknown user":         {w.SecretKey(), "/v1/users/user_no", nil, 404, clerksim.ErrNotFound},
		"unknown organization": {w.SecretKey(), "/v1/organizations/org_no/memberships", nil, 404, clerksim.ErrNotFound},
		"unknown path":         {w.SecretKey(), "/v1/nothing", nil, 404, clerksim.ErrUnsimulatedCall},
		"limit 0":              {w.SecretKey(), "/v1/organizations", url.Values{"limit": {"0"}}, 422, clerksim.ErrInvalid},
		"limit 501":            {w.SecretKey(), "/v1/organizations", url.Values{"limit": {"501"}}, 422, clerksim.ErrInvalid},
		"limit no number":      {w.SecretKey(), "/v1/users", url.Values{"limit": {"ten"}}, 422, clerksim.ErrInvalid},
		"negative offset":      {w.SecretKey(), "/v1/users", url.Values{"offset": {"-1"}}, 422, clerksim.ErrInvalid},
		"plus not escaped":     {w.SecretKey(), "/v1/users", url.Values{"order_by": {" created_at"}}, 422, clerksim.ErrInvalid},
		"cursor with offset":   {w.SecretKey(), "/v1/users", url.Values{"starting_after": {"user_a"}, "offset": {"1"}}, 422, clerksim.ErrInvalid},
		"unknown cursor":       {w.SecretKey(), "/v1/users", url.Values{"starting_after": {"user_a"}}, 422, clerksim.ErrInvalid},
		"unsimulated filter":   {w.SecretKey(), "/v1/users", url.Values{"web3_wallet": {"0x1"}}, 422, clerksim.ErrUnsimulated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := call(t, w.Handler(), tc.key, tc.path, tc.query)
			require.Equal(t, tc.status, status)
			decoded := decode(t, body)
			require.NotEmpty(t, decoded["clerk_trace_id"])
			errs, ok := decoded["errors"].([]any)
			require.True(t, ok)
			require.Len(t, errs, 1)
			first, ok := errs[0].(map[string]any)
			require.True(t, ok)
			require.Equal(t, string(tc.code), first["code"])
			requireKeys(t, first, "message", "long_message", "meta")
		})
	}
}

func TestAPI_WrongMethod(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v1/users", nil)
	recorder := httptest.NewRecorder()
	w.Handler().ServeHTTP(recorder, req)
	require.Equal(t, http.StatusNotFound, recorder.Code)
	require.Contains(t, recorder.Body.String(), "the simulator doesn't know PUT /v1/users")
}

func TestAPI_MiddlewareWrapsEverything(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	var order []string
	layer := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				order = append(order, name)
				next.ServeHTTP(rw, req)
			})
		}
	}
	status, _ := call(t, w.Handler(layer("outer"), layer("inner")), "", "/v1/users", nil)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, []string{"outer", "inner"}, order)
}

func TestServer(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{SigningKey: sharedKeys()[0]})
	server, err := clerksim.Listen(t.Context(), "", w.Handler())
	require.NoError(t, err)
	_, err = clerksim.Listen(t.Context(), server.URL[len("http://"):], w.Handler())
	require.Error(t, err, "the address is taken")

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/.well-known/jwks.json", nil)
	require.NoError(t, err)
	response, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NoError(t, server.Close(t.Context()))
}
