package api

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNewAuthenticatorValidates(t *testing.T) {
	t.Parallel()
	valid := AuthenticatorConfig{
		Issuer: testIssuer, HTTPClient: &http.Client{}, Logger: slog.New(slog.DiscardHandler),
	}
	hash := ServiceToken{Name: "billing"}
	cases := map[string]struct {
		change func(*AuthenticatorConfig)
		want   string
	}{
		"no issuer":        {func(c *AuthenticatorConfig) { c.Issuer = "" }, "Issuer must be an absolute"},
		"relative issuer":  {func(c *AuthenticatorConfig) { c.Issuer = "clerk.example.com" }, "Issuer must be an absolute"},
		"issuer's slash":   {func(c *AuthenticatorConfig) { c.Issuer += "/" }, "Issuer must not end with a slash"},
		"file as key set":  {func(c *AuthenticatorConfig) { c.JWKSURL = "file:///etc/keys" }, "JWKSURL must be"},
		"empty origin":     {func(c *AuthenticatorConfig) { c.AuthorizedParties = []string{""} }, "AuthorizedParties must"},
		"no client":        {func(c *AuthenticatorConfig) { c.HTTPClient = nil }, "HTTPClient must be set"},
		"no logger":        {func(c *AuthenticatorConfig) { c.Logger = nil }, "Logger must be set"},
		"negative memory":  {func(c *AuthenticatorConfig) { c.MaxRememberedTokens = -1 }, "MaxRememberedTokens must"},
		"bad service name": {func(c *AuthenticatorConfig) { c.ServiceTokens = []ServiceToken{{Name: "A"}} }, "name must be"},
		"repeated hash":    {func(c *AuthenticatorConfig) { c.ServiceTokens = []ServiceToken{hash, hash} }, "repeats the hash"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := valid
			c.change(&config)
			_, err := NewAuthenticator(config)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := NewAuthenticator(AuthenticatorConfig{})
	require.ErrorContains(t, err, "HTTPClient must be set")
	require.ErrorContains(t, err, "Logger must be set", "all problems are named at once")

	authenticator, err := NewAuthenticator(valid)
	require.NoError(t, err)
	authenticator.Close()
}

func TestAuthenticateOverHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/jwks.json" {
			_, _ = w.Write([]byte(keySet(firstSigner())))
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	authenticator, err := NewAuthenticator(AuthenticatorConfig{
		Issuer: server.URL, HTTPClient: server.Client(), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(authenticator.Close)

	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/me", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+firstSigner().sign(t, with(claimsAt(time.Now()), map[string]any{"iss": server.URL})))
	identity, err := authenticator.Authenticate(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, Identity{UserID: testUser, SessionID: "sess_1"}, identity)
}

func TestAuthenticateReadsOneBearerHeader(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	token := b.token(t, nil)
	oversized := "Bearer " + strings.Repeat("a", maxAuthorizationBytes)
	cases := map[string]struct {
		headers []string
		reason  AuthReason // "" if it is accepted
	}{
		"usual":               {[]string{"Bearer " + token}, ""},
		"lower case":          {[]string{"bearer " + token}, ""},
		"upper case":          {[]string{"BEARER " + token}, ""},
		"several spaces":      {[]string{"Bearer   " + token}, ""},
		"none":                {nil, AuthReasonMissing},
		"empty":               {[]string{""}, AuthReasonHeader},
		"scheme only":         {[]string{"Bearer"}, AuthReasonHeader},
		"scheme and space":    {[]string{"Bearer "}, AuthReasonHeader},
		"token only":          {[]string{token}, AuthReasonHeader},
		"another scheme":      {[]string{"Basic " + token}, AuthReasonHeader},
		"longer scheme":       {[]string{"Bearers " + token}, AuthReasonHeader},
		"no space":            {[]string{"Bearer" + token}, AuthReasonHeader},
		"tab":                 {[]string{"Bearer\t" + token}, AuthReasonHeader},
		"leading space":       {[]string{" Bearer " + token}, AuthReasonHeader},
		"trailing space":      {[]string{"Bearer " + token + " "}, AuthReasonHeader},
		"line break in token": {[]string{"Bearer " + token[:20] + "\n" + token[20:]}, AuthReasonHeader},
		"space in token":      {[]string{"Bearer " + token[:20] + " " + token[20:]}, AuthReasonHeader},
		"padding":             {[]string{"Bearer " + token + "="}, AuthReasonHeader},
		"quotes":              {[]string{`Bearer "` + token + `"`}, AuthReasonHeader},
		"not ASCII":           {[]string{"Bearer " + token + "é"}, AuthReasonHeader},
		"not UTF-8":           {[]string{"Bearer " + token + "\xff"}, AuthReasonHeader},
		"JSON serialization":  {[]string{`Bearer {"payload":"","protected":"","signature":""}`}, AuthReasonHeader},
		"two in one":          {[]string{"Bearer " + token + ", Bearer " + token}, AuthReasonHeader},
		"two headers":         {[]string{"Bearer " + token, "Bearer " + token}, AuthReasonHeader},
		"two, one empty":      {[]string{"Bearer " + token, ""}, AuthReasonHeader},
		"too large":           {[]string{oversized}, AuthReasonTooLarge},
		"as large as allowed": {[]string{oversized[:maxAuthorizationBytes]}, AuthReasonMalformed},
		"garbage":             {[]string{"Bearer garbage"}, AuthReasonMalformed},
		"dots":                {[]string{"Bearer .."}, AuthReasonAlgorithm},
		"four parts":          {[]string{"Bearer " + token + ".AA"}, AuthReasonMalformed},
		"two parts":           {[]string{"Bearer " + token[:strings.LastIndex(token, ".")]}, AuthReasonMalformed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/me", http.NoBody)
			if c.headers != nil {
				r.Header["Authorization"] = c.headers
			}
			identity, err := b.Authenticate(t.Context(), r)
			if c.reason == "" {
				require.NoError(t, err)
				require.Equal(t, testUser, identity.UserID)
				return
			}
			requireReason(t, c.reason, err)
			require.Zero(t, identity)
		})
	}
}

func FuzzBearerToken(f *testing.F) {
	seeds := []string{"", "Bearer", "Bearer ", "bearer a.b.c", "Bearer  rcs_x", "Basic eDp5", "Bearer a,b", "Bearer a\x00"}
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, err := bearerToken(http.Header{"Authorization": {value}})
		if err != nil {
			require.ErrorIs(t, err, ErrUnauthenticated)
			require.Empty(t, token)
			return
		}
		require.NotEmpty(t, token)
		require.LessOrEqual(t, len(value), maxAuthorizationBytes)
		require.Regexp(t, `\A[A-Za-z0-9._-]+\z`, token)
		require.Regexp(t, `\A(?i:bearer) +\z`, strings.TrimSuffix(value, token), "only the scheme and spaces go before the token")
	})
}

func TestAuthErrorNeverCarriesTheToken(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	for _, token := range []string{
		b.token(t, map[string]any{"exp": 1}),
		b.token(t, map[string]any{"sts": "pending"}),
		b.token(t, map[string]any{"exp": "soon"}),
		secondSigner().sign(t, claimsAt(b.clock.Now())),
		"rcs_secret",
	} {
		_, err := b.identify(t.Context(), token)
		require.ErrorIs(t, err, ErrUnauthenticated)
		require.NotContains(t, err.Error(), token)
		require.NotContains(t, err.Error(), testUser)
	}
}
