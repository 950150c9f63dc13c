package auth

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAuthenticator_Validates(t *testing.T) {
	t.Parallel()
	valid := Config{
		Issuer: testIssuer, HTTPClient: &http.Client{}, Logger: slog.New(slog.DiscardHandler),
	}
	hash := ServiceToken{Name: "billing"}
	cases := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no issuer":        {func(c *Config) { c.Issuer = "" }, "Issuer must be an absolute"},
		"relative issuer":  {func(c *Config) { c.Issuer = "clerk.example.com" }, "Issuer must be an absolute"},
		"issuer's slash":   {func(c *Config) { c.Issuer += "/" }, "Issuer must not end with a slash"},
		"file as key set":  {func(c *Config) { c.JWKSURL = "file:///etc/keys" }, "JWKSURL must be"},
		"empty origin":     {func(c *Config) { c.AuthorizedParties = []string{""} }, "AuthorizedParties must"},
		"no client":        {func(c *Config) { c.HTTPClient = nil }, "HTTPClient must be set"},
		"no logger":        {func(c *Config) { c.Logger = nil }, "Logger must be set"},
		"negative memory":  {func(c *Config) { c.MaxRememberedTokens = -1 }, "MaxRememberedTokens must"},
		"bad service name": {func(c *Config) { c.ServiceTokens = []ServiceToken{{Name: "A"}} }, "name must be"},
		"repeated hash":    {func(c *Config) { c.ServiceTokens = []ServiceToken{hash, hash} }, "repeats the hash"},
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
	_, err := NewAuthenticator(Config{})
	require.ErrorContains(t, err, "HTTPClient must be set")
	require.ErrorContains(t, err, "Logger must be set", "all problems are named at once")

	authenticator, err := NewAuthenticator(valid)
	require.NoError(t, err)
	authenticator.Close()
}

func TestAuthenticator_OverHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/jwks.json" {
			_, _ = w.Write([]byte(keySet(firstSigner())))
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	authenticator, err := NewAuthenticator(Config{
		Issuer: server.URL, HTTPClient: server.Client(), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(authenticator.Close)

	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/me", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+firstSigner().sign(t, with(claimsAt(time.Now()), map[string]any{"iss": server.URL})))
	identity, err := authenticator.Authenticate(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, Identity{UserID: testUser, SessionID: "sess_1", ActiveOrganization: "org_1"}, identity)
}

func TestAuthenticator_ReadsOneBearerHeader(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	token := b.token(t, nil)
	oversized := "Bearer " + strings.Repeat("a", maxAuthorizationBytes)
	cases := map[string]struct {
		headers []string
		reason  Reason // "" if it is accepted
	}{
		"usual":               {[]string{"Bearer " + token}, ""},
		"lower case":          {[]string{"bearer " + token}, ""},
		"upper case":          {[]string{"BEARER " + token}, ""},
		"several spaces":      {[]string{"Bearer   " + token}, ""},
		"none":                {nil, ReasonMissing},
		"empty":               {[]string{""}, ReasonHeader},
		"scheme only":         {[]string{"Bearer"}, ReasonHeader},
		"scheme and space":    {[]string{"Bearer "}, ReasonHeader},
		"token only":          {[]string{token}, ReasonHeader},
		"another scheme":      {[]string{"Basic " + token}, ReasonHeader},
		"longer scheme":       {[]string{"Bearers " + token}, ReasonHeader},
		"no space":            {[]string{"Bearer" + token}, ReasonHeader},
		"tab":                 {[]string{"Bearer\t" + token}, ReasonHeader},
		"leading space":       {[]string{" Bearer " + token}, ReasonHeader},
		"trailing space":      {[]string{"Bearer " + token + " "}, ReasonHeader},
		"line break in token": {[]string{"Bearer " + token[:20] + "\n" + token[20:]}, ReasonHeader},
		"space in token":      {[]string{"Bearer " + token[:20] + " " + token[20:]}, ReasonHeader},
		"padding":             {[]string{"Bearer " + token + "="}, ReasonHeader},
		"quotes":              {[]string{`Bearer "` + token + `"`}, ReasonHeader},
		"not ASCII":           {[]string{"Bearer " + token + "é"}, ReasonHeader},
		"not UTF-8":           {[]string{"Bearer " + token + "\xff"}, ReasonHeader},
		"JSON serialization":  {[]string{`Bearer {"payload":"","protected":"","signature":""}`}, ReasonHeader},
		"two in one":          {[]string{"Bearer " + token + ", Bearer " + token}, ReasonHeader},
		"two headers":         {[]string{"Bearer " + token, "Bearer " + token}, ReasonHeader},
		"two, one empty":      {[]string{"Bearer " + token, ""}, ReasonHeader},
		"too large":           {[]string{oversized}, ReasonTooLarge},
		"as large as allowed": {[]string{oversized[:maxAuthorizationBytes]}, ReasonMalformed},
		"garbage":             {[]string{"Bearer garbage"}, ReasonMalformed},
		"dots":                {[]string{"Bearer .."}, ReasonAlgorithm},
		"four parts":          {[]string{"Bearer " + token + ".AA"}, ReasonMalformed},
		"two parts":           {[]string{"Bearer " + token[:strings.LastIndex(token, ".")]}, ReasonMalformed},
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

func TestError_NeverCarriesTheToken(t *testing.T) {
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
