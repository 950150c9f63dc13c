package clerksim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// refusal returns status, code and parameter of a refused request.
func refusal(t *testing.T, w *clerksim.World, method, path, body string) (status int, code, param any) {
	t.Helper()
	status, answer := send(t, w, method, path, body)
	errs, ok := answer["errors"].([]any)
	require.True(t, ok, "%v", answer)
	first, ok := errs[0].(map[string]any)
	require.True(t, ok)
	meta, ok := first["meta"].(map[string]any)
	require.True(t, ok)
	return status, first["code"], meta["param_name"]
}

func TestAPI_CreatesUsersAsAsked(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	status, made := send(t, w, http.MethodPost, "/v1/users", `{"email_address":["ada@callmine.test","old@callmine.test"],
		"phone_number":["+15555550100"],"username":"ada","external_id":"41","password":"a calm harbour","skip_legal_checks":true,
		"public_metadata":{"a":1},"private_metadata":{"b":2},"unsafe_metadata":{"c":3}}`)
	require.Equal(t, http.StatusOK, status, "%v", made)
	messages := w.Drain()
	require.Equal(t, []string{"user.created"}, types(messages))
	require.Equal(t, decode(t, messages[0].Body).at(t, "data"), made, "answer and event say the same")
	require.NotContains(t, string(messages[0].Body), "harbour")
	for field, want := range map[string]any{
		"first_name": nil, "last_name": nil, "username": "ada", "external_id": "41", "password_enabled": true,
		"public_metadata": map[string]any{"a": json.Number("1")}, "private_metadata": map[string]any{"b": json.Number("2")},
		"unsafe_metadata": map[string]any{"c": json.Number("3")}, "password_last_updated_at": made["created_at"],
	} {
		require.Equal(t, want, made[field], field)
	}
	u, known := w.User(made["id"].(string))
	require.True(t, known)
	require.Equal(t, "ada@callmine.test", *u.Identifier())
	require.Len(t, u.Emails, 2)
	require.Equal(t, "+15555550100", u.Phones[0].Value)

	_, plain := send(t, w, http.MethodPost, "/v1/users", `{"username":"bo","public_metadata":null}`)
	require.Equal(t, []any{false, nil, map[string]any{}}, []any{plain["password_enabled"], plain["password_last_updated_at"], plain["public_metadata"]})
	require.Empty(t, plain["email_addresses"], "nothing is invented")
}

func TestAPI_RefusesUsersThatClerkRefuses(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	_, made := send(t, w, http.MethodPost, "/v1/users", `{"email_address":["Ada@callmine.test"],"phone_number":["+15555550100"],
		"username":"ada","external_id":"41","password":"short","skip_password_checks":true}`)
	_, other := send(t, w, http.MethodPost, "/v1/users", `{"username":"bo"}`)
	id, _ := other["id"].(string)
	w.Drain()
	const users = "/v1/users"
	for name, tc := range map[string]struct {
		method, path, body string
		code               clerksim.Code
		param              any
	}{
		"short password":   {http.MethodPost, users, `{"username":"c","password":"seven77"}`, clerksim.ErrPasswordTooShort, "password"},
		"no characters":    {http.MethodPost, users, `{"username":"c","password":""}`, clerksim.ErrPasswordTooShort, "password"},
		"long password":    {http.MethodPost, users, `{"username":"c","password":"` + strings.Repeat("a", 73) + `"}`, clerksim.ErrPasswordTooLong, "password"},
		"stolen password":  {http.MethodPost, users, `{"username":"c","password":"password123"}`, clerksim.ErrPasswordPwned, "password"},
		"hashed password":  {http.MethodPost, users, `{"username":"c","password_digest":"x","password_hasher":"bcrypt"}`, clerksim.ErrUnsimulated, "password_digest"},
		"no address":       {http.MethodPost, users, `{"email_address":["ada"]}`, clerksim.ErrFormat, "email_address"},
		"address taken":    {http.MethodPost, users, `{"email_address":["b@callmine.test","ADA@callmine.test"]}`, clerksim.ErrDuplicate, "email_address"},
		"number taken":     {http.MethodPost, users, `{"phone_number":["+15555550100"]}`, clerksim.ErrDuplicate, "phone_number"},
		"username taken":   {http.MethodPost, users, `{"username":"ADA"}`, clerksim.ErrDuplicate, "username"},
		"id taken":         {http.MethodPost, users, `{"username":"c","external_id":"41"}`, clerksim.ErrDuplicate, "external_id"},
		"two numbers":      {http.MethodPost, users, `{"phone_number":["+15555550101","+15555550102"]}`, clerksim.ErrUnsimulated, "phone_number"},
		"private no JSON":  {http.MethodPost, users, `{"username":"c","private_metadata":1}`, clerksim.ErrInvalid, "private_metadata"},
		"unsafe no object": {http.MethodPost, users, `{"username":"c","unsafe_metadata":[]}`, clerksim.ErrInvalid, "unsafe_metadata"},
		"short new one":    {http.MethodPatch, users + "/" + id, `{"password":"seven77"}`, clerksim.ErrPasswordTooShort, "password"},
		"rename to taken":  {http.MethodPatch, users + "/" + id, `{"username":"ada"}`, clerksim.ErrDuplicate, "username"},
		"another's mail":   {http.MethodPatch, users + "/" + id, `{"primary_email_address_id":"idn_no"}`, clerksim.ErrInvalid, "primary_email_address_id"},
		"another's phone":  {http.MethodPatch, users + "/" + id, `{"primary_phone_number_id":"idn_no"}`, clerksim.ErrInvalid, "primary_phone_number_id"},
		"old metadata":     {http.MethodPatch, users + "/" + id, `{"public_metadata":{}}`, clerksim.ErrUnsimulated, nil},
		"no password":      {http.MethodPost, users + "/" + made["id"].(string) + "/verify_password", `{}`, clerksim.ErrMissing, "password"},
		"no user":          {http.MethodPatch, users + "/user_no", `{}`, clerksim.ErrNotFound, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, code, param := refusal(t, w, tc.method, tc.path, tc.body)
			require.Equal(t, []any{string(tc.code), tc.param}, []any{code, param})
			require.Empty(t, w.Drain(), "what is refused emits nothing")
		})
	}
}

func TestAPI_ChangesUsers(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	_, made := send(t, w, http.MethodPost, "/v1/users", `{"email_address":["ada@callmine.test","new@callmine.test"],"first_name":"Ada","username":"ada"}`)
	id, _ := made["id"].(string)
	u, _ := w.User(id)
	s := signIn(t, w, clerksim.NewSession{UserID: id})
	w.Drain()
	c.advance(time.Second)
	path := "/v1/users/" + id
	status, changed := send(t, w, http.MethodPatch, path, `{"first_name":"","last_name":"Lovell","username":"ada","external_id":"42",
		"primary_email_address_id":"`+u.Emails[1].ID+`","password":"a calm harbour","sign_out_of_other_sessions":true}`)
	require.Equal(t, http.StatusOK, status, "%v", changed)
	messages := w.Drain()
	require.Equal(t, []string{"user.updated"}, types(messages))
	require.Equal(t, decode(t, messages[0].Body).at(t, "data"), changed)
	require.Equal(t, []any{nil, "Lovell", "ada", "42", u.Emails[1].ID, true}, []any{
		changed["first_name"], changed["last_name"], changed["username"], changed["external_id"],
		changed["primary_email_address_id"], changed["password_enabled"],
	})
	require.Equal(t, c.Now().UnixMilli(), number(t, changed["password_last_updated_at"]))
	found, _ := w.Session(s.ID)
	require.Equal(t, clerksim.SessionRevoked, found.Status)
	status, same := send(t, w, http.MethodPatch, path, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "Lovell", same["last_name"])
}

func TestAPI_VerifiesPasswords(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	_, made := send(t, w, http.MethodPost, "/v1/users", `{"username":"ada","password":"abc","skip_password_checks":true}`)
	_, without := send(t, w, http.MethodPost, "/v1/users", `{"username":"bo"}`)
	path := func(user object) string { return "/v1/users/" + user["id"].(string) + "/verify_password" }
	status, answer := send(t, w, http.MethodPost, path(made), `{"password":"abc"}`)
	require.Equal(t, []any{http.StatusOK, object{"verified": true}}, []any{status, answer})
	status, code, _ := refusal(t, w, http.MethodPost, path(made), `{"password":"abd"}`)
	require.Equal(t, []any{http.StatusUnprocessableEntity, "form_password_incorrect"}, []any{status, code})
	status, code, _ = refusal(t, w, http.MethodPost, path(without), `{"password":"abc"}`)
	require.Equal(t, []any{http.StatusBadRequest, "no_password_set"}, []any{status, code})
	status, _, _ = refusal(t, w, http.MethodPost, path(object{"id": "user_no"}), `{"password":"abc"}`)
	require.Equal(t, http.StatusNotFound, status)

	copied := w.Snapshot()
	status, _ = send(t, copied, http.MethodPost, path(made), `{"password":"abc"}`)
	require.Equal(t, http.StatusOK, status)
}

func TestAPI_FiltersUsersByWhatTheyAre(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	made := func(body string) string {
		c.advance(time.Second)
		status, user := send(t, w, http.MethodPost, "/v1/users", body)
		require.Equal(t, http.StatusOK, status, "%v", user)
		return user["id"].(string)
	}
	ada := made(`{"email_address":["Ada@callmine.test"],"first_name":"Ada","last_name":"Lovell","external_id":"41"}`)
	middle := c.Now()
	bo := made(`{"username":"BoBo","phone_number":["+15555550100"],"first_name":"Bo"}`)
	_, err := w.BanUser(bo)
	require.NoError(t, err)
	o := createOrganization(t, w, ada)
	_, err = w.AddMember(o.ID, bo, "")
	require.NoError(t, err)
	millis := func(at time.Time) []string { return []string{strconv.FormatInt(at.UnixMilli(), 10)} }
	for name, tc := range map[string]struct {
		query url.Values
		want  []string
	}{
		"whole address":      {url.Values{"email_address": {"ada@CALLMINE.test", "no@callmine.test"}}, []string{ada}},
		"part of one":        {url.Values{"email_address": {"ada"}}, nil},
		"part asked for":     {url.Values{"email_address_query": {"ADA@"}}, []string{ada}},
		"number":             {url.Values{"phone_number": {"+15555550100"}}, []string{bo}},
		"part of a number":   {url.Values{"phone_number_query": {"5550"}}, []string{bo}},
		"username":           {url.Values{"username": {"bobo"}}, []string{bo}},
		"part of it":         {url.Values{"username_query": {"ob"}}, []string{bo}},
		"name":               {url.Values{"name_query": {"lov"}}, []string{ada}},
		"anything":           {url.Values{"query": {"5555"}}, []string{bo}},
		"the id":             {url.Values{"query": {ada}}, []string{ada}},
		"external id":        {url.Values{"external_id": {"41"}}, []string{ada}},
		"not that one":       {url.Values{"external_id": {"-41"}}, []string{bo}},
		"banned":             {url.Values{"banned": {"true"}}, []string{bo}},
		"not banned":         {url.Values{"banned": {"false"}}, []string{ada}},
		"of both":            {url.Values{"query": {"callmine"}, "banned": {"true"}}, nil},
		"created since":      {url.Values{"created_at_after": millis(middle)}, []string{bo}},
		"created before":     {url.Values{"created_at_before": millis(middle.Add(time.Millisecond))}, []string{ada}},
		"in an organization": {url.Values{"organization_id": {o.ID}, "user_id": {ada}}, []string{ada}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var found []object
			require.NoError(t, json.Unmarshal(callAPI(t, w, "/v1/users", tc.query), &found))
			require.Equal(t, tc.want, ids(found))
			require.Equal(t, int64(len(tc.want)), number(t, decode(t, callAPI(t, w, "/v1/users/count", tc.query))["total_count"]))
		})
	}
	for _, wrong := range []string{"banned=perhaps", "created_at_after=yesterday", "username=" + strings.Repeat("a&username=", 101)} {
		status, _, _ := refusal(t, w, http.MethodGet, "/v1/users?"+wrong, "")
		require.Equal(t, http.StatusUnprocessableEntity, status, wrong)
	}
	members := func(query url.Values) []string {
		var found []string
		for _, m := range callList(t, w, "/v1/organizations/"+o.ID+"/memberships", query).Data {
			found = append(found, m.at(t, "public_user_data")["user_id"].(string))
		}
		return found
	}
	require.Equal(t, []string{bo}, members(url.Values{"query": {"bo"}}))
	require.Equal(t, []string{ada}, members(url.Values{"email_address": {"ada@callmine.test"}}))
}
