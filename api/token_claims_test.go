package api

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/stretchr/testify/require"
)

// otherTokens are tokens that an instance signs about its users for other purposes than a session, each as a change of
// a session token. templates says whether the setting for template tokens admits them.
func otherTokens(now time.Time) map[string]struct {
	changes   map[string]any
	reason    AuthReason
	templates bool
} {
	tenYears := now.AddDate(10, 0, 0).Unix()
	return map[string]struct {
		changes   map[string]any
		reason    AuthReason
		templates bool
	}{
		"template":                {map[string]any{"sid": nil, "sts": nil, "v": nil, "o": nil}, AuthReasonSession, true},
		"template for a service":  {map[string]any{"sid": nil, "aud": "reports", "exp": tenYears}, AuthReasonLifetime, true},
		"audience":                {map[string]any{"aud": "reports"}, AuthReasonAudience, true},
		"list of audiences":       {map[string]any{"aud": []string{"reports"}}, AuthReasonAudience, true},
		"empty list of audiences": {map[string]any{"aud": []string{}}, AuthReasonAudience, true},
		"audience is a number":    {map[string]any{"aud": 7}, AuthReasonAudience, true},
		"own issuer as audience":  {map[string]any{"aud": testIssuer}, AuthReasonAudience, true},
		"session null":            {map[string]any{"sid": json.RawMessage("null")}, AuthReasonSession, true},
		"session empty":           {map[string]any{"sid": ""}, AuthReasonSession, true},
		"session without an id":   {map[string]any{"sid": "sess_"}, AuthReasonSession, true},
		"session of another kind": {map[string]any{"sid": "client_1"}, AuthReasonSession, true},
		"session in capitals":     {map[string]any{"sid": "SESS_1"}, AuthReasonSession, true},
		"session named otherwise": {map[string]any{"sid": nil, "SID": "sess_1"}, AuthReasonSession, true},
		"session is a number":     {map[string]any{"sid": 1}, AuthReasonMalformed, false},
		"session is a list":       {map[string]any{"sid": []string{"sess_1"}}, AuthReasonMalformed, false},
		"ID token": {map[string]any{
			"sid": nil, "azp": nil, "aud": "client_1", "nonce": "n", "at_hash": "h", "v": nil, "sts": nil, "o": nil,
		}, AuthReasonPurpose, false},
		"ID token with a session":   {map[string]any{"aud": "client_1", "nonce": "n"}, AuthReasonPurpose, false},
		"ID token without nonce":    {map[string]any{"aud": "client_1", "at_hash": "h"}, AuthReasonPurpose, false},
		"ID token of a code flow":   {map[string]any{"aud": "client_1", "c_hash": "h"}, AuthReasonPurpose, false},
		"nonce and no session":      {map[string]any{"sid": nil, "nonce": json.RawMessage("null")}, AuthReasonPurpose, false},
		"hash and an empty session": {map[string]any{"sid": "", "at_hash": "h", "aud": json.RawMessage("null")}, AuthReasonPurpose, false},
		"OAuth access token":        {map[string]any{"sid": nil, "client_id": "client_1", "scope": "email"}, AuthReasonPurpose, false},
		"machine's token":           {map[string]any{"sub": "mch_1", "sid": nil}, AuthReasonSession, false},
		"machine's with a session":  {map[string]any{"sub": "mch_1"}, AuthReasonSubject, false},
		"ten years":                 {map[string]any{"exp": tenYears}, AuthReasonLifetime, true},
		"a second over a day":       {map[string]any{"exp": now.Add(maxTokenLife + time.Second).Unix()}, AuthReasonLifetime, true},
		"ten years without iat":     {map[string]any{"iat": nil, "exp": tenYears}, AuthReasonLifetime, true},
		"made years ago":            {map[string]any{"iat": now.AddDate(-10, 0, 0).Unix()}, AuthReasonLifetime, true},
	}
}

func TestOnlySessionTokensAreSessions(t *testing.T) {
	t.Parallel()
	strict := setupAuth(t, nil)
	lenient := setupAuth(t, func(c *AuthenticatorConfig) { c.AcceptTemplateTokens = true })
	for name, c := range otherTokens(strict.clock.Now()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := strict.token(t, c.changes)
			requireVerdict(t, strict, token, c.reason)
			_, err := lenient.identify(t.Context(), token)
			require.Equal(t, c.templates, err == nil, "%v", err)
		})
	}
	for name, changes := range map[string]map[string]any{
		"a day":          {"exp": strict.clock.Now().Add(maxTokenLife).Unix()},
		"impersonation":  {"act": map[string]any{"sub": "user_support"}},
		"custom claims":  {"name": "Kim", "scope": "x", "metadata": map[string]any{"sub": "user_2other", "aud": "y"}},
		"native, no azp": {"azp": nil},
		"audience null":  {"aud": json.RawMessage("null")},
		"client's names": {"nonce": "n", "at_hash": "h", "c_hash": "h", "client_id": "client_1", "aud": json.RawMessage("null")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireVerdict(t, strict, strict.token(t, changes), "")
		})
	}
}

// TestTemplateTokensAreJudgedOtherwiseAsEver: the setting opens nothing but what it is for.
func TestTemplateTokensAreJudgedOtherwiseAsEver(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, func(c *AuthenticatorConfig) {
		c.AcceptTemplateTokens, c.AuthorizedParties = true, []string{testOrigin}
	})
	template := map[string]any{"sid": nil, "aud": "rolecall"}
	identity, err := b.identify(t.Context(), b.token(t, template))
	require.NoError(t, err)
	require.Equal(t, Identity{UserID: testUser}, identity)
	for reason, change := range map[AuthReason]map[string]any{
		AuthReasonIssuer: {"iss": "https://other.example"}, AuthReasonAuthorizedParty: {"azp": nil}, AuthReasonNoExpiry: {"exp": nil},
		AuthReasonSessionStatus: {"sts": "pending"}, AuthReasonSubject: {"sub": "mch_1"}, AuthReasonExpired: {"exp": 1},
	} {
		changed := maps.Clone(template)
		maps.Copy(changed, change)
		requireVerdict(t, b, b.token(t, changed), reason)
	}
}

// TestClaimNamesAreExact puts claims beside those that count: under a name in other letters, which must not win, and
// under the same name, which must not be chosen from.
func TestClaimNamesAreExact(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, func(c *AuthenticatorConfig) { c.AuthorizedParties = []string{testOrigin} })
	now := b.clock.Now()
	payload, err := json.Marshal(claimsAt(now))
	require.NoError(t, err)
	whole := string(payload[1 : len(payload)-1])
	for name, c := range map[string]struct {
		claims string
		reason AuthReason
	}{
		"SUB after sub":           {`{` + whole + `,"SUB":"user_2admin"}`, ""},
		"Sub before sub":          {`{"Sub":"user_2admin",` + whole + `}`, ""},
		"ſub (long s) after sub":  {`{` + whole + `,"\u017fub":"user_2admin"}`, ""},
		"SUB of another type":     {`{` + whole + `,"SUB":7}`, ""},
		"EXP after exp":           {`{` + whole + `,"EXP":1}`, ""},
		"NBF after nbf":           {`{` + whole + `,"NBF":4102444800}`, ""},
		"ISS after iss":           {`{` + whole + `,"ISS":"https://other.example"}`, ""},
		"AZP after azp":           {`{` + whole + `,"AZP":"https://other.example"}`, ""},
		"STS after sts":           {`{` + whole + `,"STS":"pending"}`, ""},
		"AUD alone":               {`{` + whole + `,"AUD":"x"}`, ""},
		"sub twice":               {`{` + whole + `,"sub":"user_2admin"}`, AuthReasonMalformed},
		"sub twice, once escaped": {`{` + whole + `,"s\u0075b":"user_2admin"}`, AuthReasonMalformed},
		"an unknown name twice":   {`{` + whole + `,"x":1,"x":2}`, AuthReasonMalformed},
		"twice in o":              {`{` + whole + `,"p":{"id":"org_1","id":"org_2"}}`, AuthReasonMalformed},
		"twice deep inside":       {`{` + whole + `,"p":[{"q":{"r":1,"r":1}}]}`, AuthReasonMalformed},
		"not UTF-8":               {`{` + whole + ",\"x\":\"\xff\"}", AuthReasonMalformed},
		"something after it":      {`{` + whole + `}{}`, AuthReasonMalformed},
		"a list":                  {`[{` + whole + `}]`, AuthReasonMalformed},
		"null":                    {`null`, AuthReasonNoExpiry},
		"nothing":                 {``, AuthReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireVerdict(t, b, signRaw(t, c.claims), c.reason)
		})
	}
	for claim, reason := range map[string]AuthReason{
		"sub": AuthReasonSubject, "iss": AuthReasonIssuer, "azp": AuthReasonAuthorizedParty, "exp": AuthReasonNoExpiry, "sid": AuthReasonSession,
	} {
		claims := claimsAt(now)
		other := string([]byte{claim[0] - 'a' + 'A'}) + claim[1:]
		requireVerdict(t, b, firstSigner().sign(t, with(claims, map[string]any{claim: nil, other: claims[claim]})), reason)
	}
}

// signRaw signs bytes that json.Marshal wouldn't make.
func signRaw(t *testing.T, payload string) string {
	t.Helper()
	key := jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: firstSigner().key, KeyID: firstSigner().kid}}
	s, err := jose.NewSigner(key, nil)
	require.NoError(t, err)
	signed, err := s.Sign([]byte(payload))
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

// TestTypesOfTokens: the header names the type, in any letters, or not at all. Nothing else is a session token.
func TestTypesOfTokens(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	key := jose.JSONWebKey{Key: firstSigner().key, KeyID: firstSigner().kid}
	for typ, reason := range map[string]AuthReason{
		"JWT": "", "jwt": "", "at+jwt": AuthReasonType, "AT+JWT": AuthReasonType, "application/at+jwt": AuthReasonType, "m2m+jwt": AuthReasonType,
		"mt+jwt": AuthReasonType, "oat+jwt": AuthReasonType, "id_token": AuthReasonType, "logout+jwt": AuthReasonType,
		" JWT": AuthReasonType, //nolint:gocritic // a blank before it
		"":     AuthReasonType,
	} {
		options := (&jose.SignerOptions{}).WithHeader("typ", typ)
		requireVerdict(t, b, signWith(t, jose.RS256, key, claimsAt(b.clock.Now()), options), reason)
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"ins_first","typ":"JWT","TYP":"at+jwt"}`))
	_, err := b.identify(t.Context(), header+".e30.AAAA")
	requireReason(t, AuthReasonSignature, err)
}
