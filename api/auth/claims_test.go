package auth

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// otherTokens are tokens that an instance signs about its users for other purposes than a session.
// Each is a change of a session token. templates says whether the setting for template tokens
// admits it.
func otherTokens(now time.Time) map[string]struct {
	changes   map[string]any
	reason    Reason
	templates bool
} {
	tenYears := now.AddDate(10, 0, 0).Unix()
	return map[string]struct {
		changes   map[string]any
		reason    Reason
		templates bool
	}{
		"template":                {map[string]any{"sid": nil, "sts": nil, "v": nil, "o": nil}, ReasonSession, true},
		"template for a service":  {map[string]any{"sid": nil, "aud": "reports", "exp": tenYears}, ReasonLifetime, true},
		"template, nobody acts":   {map[string]any{"sid": nil, "act": json.RawMessage("null"), "exp": tenYears}, ReasonLifetime, true},
		"template's own sid":      {map[string]any{"sid": "client_1", "exp": tenYears}, ReasonLifetime, true},
		"audience":                {map[string]any{"aud": "reports"}, ReasonAudience, true},
		"list of audiences":       {map[string]any{"aud": []string{"reports"}}, ReasonAudience, true},
		"empty list of audiences": {map[string]any{"aud": []string{}}, ReasonAudience, true},
		"audience is a number":    {map[string]any{"aud": 7}, ReasonAudience, true},
		"own issuer as audience":  {map[string]any{"aud": testIssuer}, ReasonAudience, true},
		"session null":            {map[string]any{"sid": json.RawMessage("null")}, ReasonSession, true},
		"session empty":           {map[string]any{"sid": ""}, ReasonSession, true},
		"session without an id":   {map[string]any{"sid": "sess_"}, ReasonSession, true},
		"session of another kind": {map[string]any{"sid": "client_1"}, ReasonSession, true},
		"session in capitals":     {map[string]any{"sid": "SESS_1"}, ReasonSession, true},
		"session named otherwise": {map[string]any{"sid": nil, "SID": "sess_1"}, ReasonSession, true},
		"session is a number":     {map[string]any{"sid": 1}, ReasonMalformed, false},
		"session is a list":       {map[string]any{"sid": []string{"sess_1"}}, ReasonMalformed, false},
		"ID token": {map[string]any{
			"sid": nil, "azp": nil, "aud": "client_1", "nonce": "n", "at_hash": "h", "v": nil, "sts": nil, "o": nil,
		}, ReasonPurpose, false},
		"ID token with a session":             {map[string]any{"aud": "client_1", "nonce": "n"}, ReasonPurpose, false},
		"ID token without nonce":              {map[string]any{"aud": "client_1", "at_hash": "h"}, ReasonPurpose, false},
		"ID token of a code flow":             {map[string]any{"aud": "client_1", "c_hash": "h"}, ReasonPurpose, false},
		"nonce and no session":                {map[string]any{"sid": nil, "nonce": json.RawMessage("null")}, ReasonPurpose, false},
		"hash and an empty session":           {map[string]any{"sid": "", "at_hash": "h", "aud": json.RawMessage("null")}, ReasonPurpose, false},
		"OAuth access token":                  {map[string]any{"sid": nil, "client_id": "client_1", "scope": "email"}, ReasonPurpose, false},
		"machine's token":                     {map[string]any{"sub": "mch_1", "sid": nil}, ReasonSession, false},
		"machine's with a session":            {map[string]any{"sub": "mch_1"}, ReasonSubject, false},
		"ten years":                           {map[string]any{"exp": tenYears}, ReasonLifetime, false},
		"template that names an impersonator": {map[string]any{"sid": nil, "act": map[string]any{"sub": "user_2"}, "exp": tenYears}, ReasonLifetime, false},
		"a second over a day":                 {map[string]any{"exp": now.Add(maxTokenLife + time.Second).Unix()}, ReasonLifetime, false},
		"ten years without iat":               {map[string]any{"iat": nil, "exp": tenYears}, ReasonLifetime, false},
		"made years ago":                      {map[string]any{"iat": now.AddDate(-10, 0, 0).Unix()}, ReasonLifetime, false},
	}
}

func TestSessionToken_RefusesTokensForOtherPurposes(t *testing.T) {
	t.Parallel()
	strict := setupAuth(t, nil)
	lenient := setupAuth(t, func(c *Config) { c.AcceptTemplateTokens = true })
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

// TestSessionToken_TemplatesPassEveryOtherCheck: the setting for template tokens switches off no
// other check.
func TestSessionToken_TemplatesPassEveryOtherCheck(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, func(c *Config) {
		c.AcceptTemplateTokens, c.AuthorizedParties = true, []string{testOrigin}
	})
	template := map[string]any{"sid": nil, "aud": "rolecall"}
	identity, err := b.identify(t.Context(), b.token(t, template))
	require.NoError(t, err)
	require.Equal(t, Identity{UserID: testUser, ActiveOrganization: "org_1"}, identity)
	for reason, change := range map[Reason]map[string]any{
		ReasonIssuer: {"iss": "https://other.example"}, ReasonAuthorizedParty: {"azp": nil}, ReasonNoExpiry: {"exp": nil},
		ReasonSessionStatus: {"sts": "pending"}, ReasonSubject: {"sub": "mch_1"}, ReasonExpired: {"exp": 1},
	} {
		changed := maps.Clone(template)
		maps.Copy(changed, change)
		requireVerdict(t, b, b.token(t, changed), reason)
	}
}

// TestSessionToken_ClaimNamesAreExact adds claims to those that count. A claim whose name differs
// in case must not replace one, and duplicates are refused.
func TestSessionToken_ClaimNamesAreExact(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, func(c *Config) { c.AuthorizedParties = []string{testOrigin} })
	now := b.clock.Now()
	payload, err := json.Marshal(claimsAt(now))
	require.NoError(t, err)
	whole := string(payload[1 : len(payload)-1])
	for name, c := range map[string]struct {
		claims string
		reason Reason
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
		"sub twice":               {`{` + whole + `,"sub":"user_2admin"}`, ReasonMalformed},
		"sub twice, once escaped": {`{` + whole + `,"s\u0075b":"user_2admin"}`, ReasonMalformed},
		"an unknown name twice":   {`{` + whole + `,"x":1,"x":2}`, ReasonMalformed},
		"twice in o":              {`{` + whole + `,"p":{"id":"org_1","id":"org_2"}}`, ReasonMalformed},
		"twice deep inside":       {`{` + whole + `,"p":[{"q":{"r":1,"r":1}}]}`, ReasonMalformed},
		"not UTF-8":               {`{` + whole + ",\"x\":\"\xff\"}", ReasonMalformed},
		"something after it":      {`{` + whole + `}{}`, ReasonMalformed},
		"a list":                  {`[{` + whole + `}]`, ReasonMalformed},
		"null":                    {`null`, ReasonNoExpiry},
		"nothing":                 {``, ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireVerdict(t, b, signRaw(t, c.claims), c.reason)
		})
	}
	for claim, reason := range map[string]Reason{
		"sub": ReasonSubject, "iss": ReasonIssuer, "azp": ReasonAuthorizedParty, "exp": ReasonNoExpiry, "sid": ReasonSession,
	} {
		claims := claimsAt(now)
		other := string([]byte{claim[0] - 'a' + 'A'}) + claim[1:]
		requireVerdict(t, b, firstSigner().sign(t, with(claims, map[string]any{claim: nil, other: claims[claim]})), reason)
	}
}

// signRaw signs a payload that json.Marshal wouldn't make.
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

// TestSessionToken_HeaderTypeIsChecked: the header names the type in any case, or not at all. Other
// types aren't session tokens.
func TestSessionToken_HeaderTypeIsChecked(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	key := jose.JSONWebKey{Key: firstSigner().key, KeyID: firstSigner().kid}
	for typ, reason := range map[string]Reason{
		"JWT": "", "jwt": "", "at+jwt": ReasonType, "AT+JWT": ReasonType, "application/at+jwt": ReasonType, "m2m+jwt": ReasonType,
		"mt+jwt": ReasonType, "oat+jwt": ReasonType, "id_token": ReasonType, "logout+jwt": ReasonType,
		" JWT": ReasonType, //nolint:gocritic // a blank before it
		"":     ReasonType,
	} {
		options := (&jose.SignerOptions{}).WithHeader("typ", typ)
		requireVerdict(t, b, signWith(t, jose.RS256, key, claimsAt(b.clock.Now()), options), reason)
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"ins_first","typ":"JWT","TYP":"at+jwt"}`))
	_, err := b.identify(t.Context(), header+".e30.AAAA")
	requireReason(t, ReasonSignature, err)
}
