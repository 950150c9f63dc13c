package auth

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// identityOf returns the identity of a token, and requires that it is the same once the token is
// remembered.
func identityOf(t *testing.T, b *authBundle, token string) Identity {
	t.Helper()
	verified, err := b.identify(t.Context(), token)
	require.NoError(t, err)
	remembered, err := b.identify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, verified, remembered)
	require.Equal(t, 1, b.users.memory.Len())
	return verified
}

// TestSessionToken_NamesTheActiveOrganization: each version of Clerk's tokens has a claim for it. A
// claim of the customer's own must neither name another organization nor lock users out.
func TestSessionToken_NamesTheActiveOrganization(t *testing.T) {
	t.Parallel()
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	for name, c := range map[string]struct {
		changes map[string]any
		want    string
	}{
		"version 2":                  {nil, "org_1"},
		"version 2, only its id":     {map[string]any{"o": raw(`{"id":"org_2"}`)}, "org_2"},
		"version 2, none":            {map[string]any{"o": nil}, ""},
		"version 2, null":            {map[string]any{"o": raw(`null`)}, ""},
		"version 2, text":            {map[string]any{"o": "org_2"}, ""},
		"version 2, list":            {map[string]any{"o": raw(`[{"id":"org_2"}]`)}, ""},
		"version 2, without an id":   {map[string]any{"o": raw(`{"ID":"org_2"}`)}, ""},
		"version 2, id is a number":  {map[string]any{"o": raw(`{"id":2}`)}, ""},
		"version 2, id is null":      {map[string]any{"o": raw(`{"id":null}`)}, ""},
		"version 2, id of a user":    {map[string]any{"o": raw(`{"id":"user_2"}`)}, ""},
		"version 2, only the prefix": {map[string]any{"o": raw(`{"id":"org_"}`)}, ""},
		"version 2, too long":        {map[string]any{"o": map[string]any{"id": "org_" + strings.Repeat("x", 300)}}, ""},
		"version 2, org_id is own":   {map[string]any{"org_id": "org_2"}, "org_1"},
		"version 2, org_id and no o": {map[string]any{"o": nil, "org_id": "org_2"}, ""},
		"version 1":                  {map[string]any{"v": nil, "o": nil, "org_id": "org_2", "org_role": "org:admin"}, "org_2"},
		"version 1 says so":          {map[string]any{"v": 1, "o": nil, "org_id": "org_2"}, "org_2"},
		"version 1, none":            {map[string]any{"v": nil, "o": nil}, ""},
		"version 1, null":            {map[string]any{"v": nil, "o": nil, "org_id": raw(`null`)}, ""},
		"version 1, a number":        {map[string]any{"v": nil, "o": nil, "org_id": 2}, ""},
		"version 1, o is own":        {map[string]any{"v": nil, "org_id": "org_2"}, "org_2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupAuth(t, nil)
			require.Equal(t, Identity{UserID: testUser, SessionID: "sess_1", ActiveOrganization: c.want}, identityOf(t, b, b.token(t, c.changes)))
		})
	}
}

// TestSessionToken_NamesTheImpersonator: act says who acts as the user.
func TestSessionToken_NamesTheImpersonator(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		act                  string
		wantID, wantsSession string
	}{
		"Clerk's dashboard": {`{"iss":"https://dashboard.clerk.com","sid":"sess_2","sub":"user_support"}`, "user_support", "sess_2"},
		"Backend API":       {`{"sub":"user_support"}`, "user_support", ""},
		"of another system": {`{"sub":"kim+support@example.com","team":{"sub":"x"}}`, "kim+support@example.com", ""},
		"session null":      {`{"sub":"user_support","sid":null}`, "user_support", ""},
		"session empty":     {`{"sub":"user_support","sid":""}`, "user_support", ""},
		"chain of actors":   {`{"sub":"user_support","act":{"sub":"user_3","sid":"sess_3"}}`, "user_support", ""},
		"the user's own id": {`{"sub":"` + testUser + `"}`, testUser, ""},
		"null":              {`null`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupAuth(t, nil)
			got := identityOf(t, b, b.token(t, map[string]any{"act": json.RawMessage(c.act)}))
			require.Equal(t, Identity{
				UserID: testUser, SessionID: "sess_1", ActiveOrganization: "org_1", Impersonator: c.wantID, ImpersonatorSession: c.wantsSession,
			}, got)
		})
	}
}

// TestSessionToken_TemplatesOwnSidIsNoSession: a text that isn't a session's id reaches no query.
func TestSessionToken_TemplatesOwnSidIsNoSession(t *testing.T) {
	t.Parallel()
	for _, sid := range []string{"client_1", "sess_", "sess_\x00", "sess_" + strings.Repeat("x", 300)} {
		b := setupAuth(t, func(c *Config) { c.AcceptTemplateTokens = true })
		require.Empty(t, identityOf(t, b, b.token(t, map[string]any{"sid": sid})).SessionID)
	}
}

// TestSessionToken_UnreadableActorIsRefused: such a token must not pass for the user's own.
func TestSessionToken_UnreadableActorIsRefused(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]string{
		"text":                    `"user_support"`,
		"list":                    `[{"sub":"user_support"}]`,
		"true":                    `true`,
		"nobody":                  `{}`,
		"nobody by that name":     `{"SUB":"user_support"}`,
		"sub is null":             `{"sub":null}`,
		"sub is empty":            `{"sub":""}`,
		"sub is a number":         `{"sub":7}`,
		"sub is too long":         `{"sub":"` + strings.Repeat("x", 256) + `"}`,
		"sub breaks a header":     `{"sub":"user_support\r\nRolecall-Role: org:admin"}`,
		"sub isn't ASCII":         `{"sub":"user_suppørt"}`,
		"sub begins with a blank": `{"sub":" user_support"}`,
		"session is a number":     `{"sub":"user_support","sid":7}`,
		"session of another kind": `{"sub":"user_support","sid":"client_1"}`,
		"session without an id":   `{"sub":"user_support","sid":"sess_"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupAuth(t, func(c *Config) { c.AcceptTemplateTokens = true })
			requireVerdict(t, b, b.token(t, map[string]any{"act": json.RawMessage(act)}), ReasonActor)
			requireVerdict(t, b, b.token(t, map[string]any{"act": json.RawMessage(act), "exp": 1}), ReasonExpired)
		})
	}
}
