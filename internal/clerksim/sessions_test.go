package clerksim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

func signIn(t *testing.T, w *clerksim.World, params clerksim.NewSession) clerksim.Session {
	t.Helper()
	s, err := w.CreateSession(params)
	require.NoError(t, err)
	return s
}

func TestSession_EachEndHasItsEvent(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	_, admin, _ := team(t, w)
	for event, end := range map[string]func(string) (clerksim.Session, error){
		"revoked": w.RevokeSession, "ended": w.EndSession, "removed": w.RemoveSession,
	} {
		s := signIn(t, w, clerksim.NewSession{UserID: admin.ID})
		require.Regexp(t, `^sess_[0-9A-Za-z]{27}$`, s.ID)
		body := lastBody(t, w)
		require.Equal(t, "session.created", body["type"])
		requireKeys(t, body.at(t, "data"), "abandon_at", "actor", "client_id", "created_at", "expire_at", "last_active_at",
			"last_active_organization_id", "latest_activity", "updated_at", "user")

		ended, err := end(s.ID)
		require.NoError(t, err)
		require.Equal(t, clerksim.SessionStatus(event), ended.Status)
		body = lastBody(t, w)
		require.Equal(t, "session."+event, body["type"])
		for field, want := range map[string]any{"object": "session", "id": s.ID, "user_id": admin.ID, "status": event} {
			require.Equal(t, want, body.at(t, "data")[field], field)
		}
		_, err = end(s.ID)
		require.ErrorIs(t, err, clerksim.ErrInvalid, "it has ended")
		_, err = w.TokenOf(s.ID, clerksim.TokenOptions{})
		require.ErrorIs(t, err, clerksim.ErrInvalid)
		require.Empty(t, w.Drain())
	}
	_, err := w.RevokeSession("sess_0")
	require.ErrorIs(t, err, clerksim.ErrNotFound)
	_, err = w.CreateSession(clerksim.NewSession{UserID: "user_0"})
	require.ErrorIs(t, err, clerksim.ErrNotFound)
	_, err = w.CreateSession(clerksim.NewSession{UserID: admin.ID, Actor: &clerksim.Actor{}})
	require.ErrorIs(t, err, clerksim.ErrInvalid)
}

// TestSession_TokenHasItsClaims: the active organization in both versions, and the actor.
func TestSession_TokenHasItsClaims(t *testing.T) {
	t.Parallel()
	w, _ := newSigningWorld(t)
	o, admin, _ := team(t, w)
	actor := &clerksim.Actor{ID: "user_support", SessionID: "sess_support", Issuer: "https://dashboard.clerk.com"}
	s := signIn(t, w, clerksim.NewSession{UserID: admin.ID, Actor: actor})
	claims := func(version clerksim.TokenVersion) object {
		token, err := w.TokenOf(s.ID, clerksim.TokenOptions{Version: version})
		require.NoError(t, err)
		return requireClaims(t, w, token)
	}
	own := claims(clerksim.TokenV2)
	require.Equal(t, []any{s.ID, admin.ID}, []any{own["sid"], own["sub"]})
	require.NotContains(t, own, "o")
	require.Equal(t, map[string]any{"sub": "user_support", "sid": "sess_support", "iss": "https://dashboard.clerk.com"}, map[string]any(own.at(t, "act")))

	require.NoError(t, w.Activate(s.ID, o.ID))
	require.Equal(t, o.ID, claims(clerksim.TokenV2).at(t, "o")["id"])
	require.Equal(t, o.ID, claims(clerksim.TokenV1)["org_id"])
	require.ErrorIs(t, w.Activate(s.ID, "org_0"), clerksim.ErrNotFound)
	require.NoError(t, w.Activate(s.ID, ""))
	require.NotContains(t, claims(clerksim.TokenV2), "o")
}

// TestSession_EndsWithItsUser, without an event of its own.
func TestSession_EndsWithItsUser(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	_, admin, member := team(t, w)
	banned, deleted := signIn(t, w, clerksim.NewSession{UserID: admin.ID}), signIn(t, w, clerksim.NewSession{UserID: member.ID})
	w.Drain()
	_, err := w.BanUser(admin.ID)
	require.NoError(t, err)
	require.NoError(t, w.DeleteUser(member.ID))
	for _, s := range []clerksim.Session{banned, deleted} {
		found, known := w.Session(s.ID)
		require.True(t, known)
		require.Equal(t, clerksim.SessionRevoked, found.Status)
	}
	for _, m := range w.Drain() {
		require.NotContains(t, m.Type, "session")
	}
}

func TestAPI_Sessions(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, member := team(t, w)
	first, other := signIn(t, w, clerksim.NewSession{UserID: admin.ID}), signIn(t, w, clerksim.NewSession{UserID: member.ID})
	status, second := send(t, w, http.MethodPost, "/v1/sessions", `{"user_id":"`+admin.ID+`","active_organization_id":"`+o.ID+`"}`)
	require.Equal(t, http.StatusOK, status, "%v", second)
	require.Equal(t, o.ID, second["last_active_organization_id"])

	status, revoked := send(t, w, http.MethodPost, "/v1/sessions/"+first.ID+"/revoke", "")
	require.Equal(t, http.StatusOK, status, "%v", revoked)
	require.Equal(t, "revoked", revoked["status"])
	listed := func(names ...string) (ids []string) {
		query := url.Values{}
		for i := 0; i < len(names); i += 2 {
			query.Set(names[i], names[i+1])
		}
		var list []object
		require.NoError(t, json.Unmarshal(callAPI(t, w, "/v1/sessions", query), &list))
		for _, s := range list {
			ids = append(ids, s["id"].(string))
		}
		return ids
	}
	require.Equal(t, []string{second["id"].(string), first.ID}, listed("user_id", admin.ID), "the newest first")
	require.Equal(t, []string{first.ID}, listed("user_id", admin.ID, "status", "revoked"))
	require.Equal(t, []string{other.ID}, listed("client_id", other.ClientID))
	require.Equal(t, []string{other.ID}, listed("limit", "1", "offset", "1"))
	_, shown := send(t, w, http.MethodGet, "/v1/sessions/"+first.ID, "")
	require.Equal(t, "revoked", shown["status"])
	for path, want := range map[string]int{"/v1/sessions/sess_0": http.StatusNotFound, "/v1/sessions?status=asleep": http.StatusUnprocessableEntity} {
		status, _ = send(t, w, http.MethodGet, path, "")
		require.Equal(t, want, status, path)
	}
}

func TestAPI_PagesSessions(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	_, admin, _ := team(t, w)
	for range 3 {
		signIn(t, w, clerksim.NewSession{UserID: admin.ID})
	}
	found := callList(t, w, "/v1/sessions", url.Values{"user_id": {admin.ID}, "paginated": {"true"}, "limit": {"2"}})
	require.Equal(t, []int{2, 3}, []int{len(found.Data), found.TotalCount})
	var bare []object
	require.NoError(t, json.Unmarshal(callAPI(t, w, "/v1/sessions", url.Values{"user_id": {admin.ID}, "paginated": {"false"}}), &bare))
	require.Len(t, bare, 3)
}

func TestAPI_MakesTokensOfSessions(t *testing.T) {
	t.Parallel()
	w, c := newSigningWorld(t)
	o, admin, _ := team(t, w)
	s := signIn(t, w, clerksim.NewSession{UserID: admin.ID, OrganizationID: o.ID})
	path := "/v1/sessions/" + s.ID + "/tokens"
	status, made := send(t, w, http.MethodPost, path, "")
	require.Equal(t, http.StatusOK, status, "%v", made)
	require.Equal(t, "token", made["object"])
	claims := requireClaims(t, w, made["jwt"].(string))
	require.Equal(t, []any{s.ID, admin.ID, o.ID}, []any{claims["sid"], claims["sub"], claims.at(t, "o")["id"]})
	require.NotContains(t, claims, "azp", "no browser asked for it")
	require.InDelta(t, float64(c.Now().Unix()+60), claims["exp"], 0)
	_, longer := send(t, w, http.MethodPost, path, `{"expires_in_seconds":600}`)
	require.InDelta(t, float64(c.Now().Unix()+600), requireClaims(t, w, longer["jwt"].(string))["exp"], 0)

	for _, seconds := range []string{"29", "315360001", `"60"`} {
		status, code, _ := refusal(t, w, http.MethodPost, path, `{"expires_in_seconds":`+seconds+`}`)
		require.Equal(t, []any{http.StatusUnprocessableEntity, string(clerksim.ErrInvalid)}, []any{status, code}, seconds)
	}
	_, err := w.RevokeSession(s.ID)
	require.NoError(t, err)
	for _, wrong := range []string{path, path + "/supabase", "/v1/sessions/sess_no/tokens"} {
		status, code, _ := refusal(t, w, http.MethodPost, wrong, "")
		require.Equal(t, []any{http.StatusNotFound, string(clerksim.ErrNotFound)}, []any{status, code}, wrong)
	}
}
