package auth

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/testlog"
)

// cookies are those that count for the test's instance.
func cookies() SessionCookies {
	return SessionCookies{Issuer: testIssuer, AuthorizedParties: []string{testOrigin}}
}

func TestSessionCookies_Token(t *testing.T) {
	t.Parallel()
	claims := claimsAt(time.Now())
	ours, second := firstSigner().sign(t, claims), firstSigner().sign(t, with(claims, map[string]any{"sub": "user_2other"}))
	foreign := firstSigner().sign(t, with(claims, map[string]any{"iss": "https://clerk.other.test"}))
	for name, test := range map[string]struct {
		lines []string
		want  string
		ok    bool
	}{
		"none":                        {nil, "", true},
		"others":                      {[]string{"a=b; __sessions=x; __client=y; __session"}, "", true},
		"plain":                       {[]string{"__session=" + ours}, ours, true},
		"among others":                {[]string{"a=b;__session=" + ours + " ; c=d"}, ours, true},
		"of a foreign instance":       {[]string{"__session=" + foreign}, foreign, true},
		"suffixed":                    {[]string{"__session_aB3-_xYz=" + ours}, ours, true},
		"suffixed goes first":         {[]string{"__session=" + second + "; __session_aaaaaaaa=" + ours}, ours, true},
		"in two lines":                {[]string{"__session=" + second, "__session_aaaaaaaa=" + ours}, ours, true},
		"one suffixed goes first":     {[]string{"__session=" + ours + "; __session_aaaaaaaa=" + foreign}, foreign, true},
		"ours of several":             {[]string{"__session_aaaaaaaa=" + foreign + "; __session_bbbbbbbb=" + ours + "; __session_cccccccc=x; __session=" + second}, ours, true},
		"the same twice":              {[]string{"__session=" + ours + "; __session=" + ours}, ours, true},
		"the same by two names":       {[]string{"__session_aaaaaaaa=" + ours + "; __session_bbbbbbbb=" + ours}, ours, true},
		"empty after signing out":     {[]string{"__session=; __session_aaaaaaaa="}, "", true},
		"an empty one beside":         {[]string{"__session=; __session=" + ours}, ours, true},
		"a short suffix":              {[]string{"__session_aaaaaaa=" + ours}, "", true},
		"a long suffix":               {[]string{"__session_aaaaaaaaa=" + ours}, "", true},
		"an odd suffix":               {[]string{"__session_aaaa.aaa=" + ours}, "", true},
		"another case":                {[]string{"__Session=" + ours}, "", true},
		"two plain":                   {[]string{"__session=" + ours + "; __session=" + second}, "", false},
		"two plain in lines":          {[]string{"__session=" + ours, "__session=" + second}, "", false},
		"two of ours":                 {[]string{"__session_aaaaaaaa=" + ours + "; __session_bbbbbbbb=" + second}, "", false},
		"several, none of ours":       {[]string{"__session_aaaaaaaa=" + foreign + "; __session_bbbbbbbb=x; __session=" + ours}, "", false},
		"quoted":                      {[]string{`__session="` + ours + `"`}, "", false},
		"no token":                    {[]string{"__session=a b"}, "", false},
		"encoded":                     {[]string{"__session=%65yJ"}, "", false},
		"a service's":                 {[]string{"__session=rcs_" + strings.Repeat("x", 43)}, "", false},
		"a service's with a suffix":   {[]string{"__session_aaaaaaaa=rcs_" + strings.Repeat("x", 43)}, "", false},
		"too large":                   {[]string{"__session=" + strings.Repeat("x", maxAuthorizationBytes+1)}, "", false},
		"a comma instead of a second": {[]string{"__session=" + ours + ", __session=" + second}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := cookies().token(http.Header{"Cookie": test.lines})
			require.Equal(t, test.ok, ok)
			require.Equal(t, test.want, got)
		})
	}
}

// TestMonitor_AuthenticatesBrowsers with the real authenticator. A cookie's token passes every
// check that a header's does.
func TestMonitor_AuthenticatesBrowsers(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, func(c *Config) { c.AuthorizedParties = []string{testOrigin} })
	var refused []Reason
	log := &testlog.Lines{}
	m := NewMonitor(MonitorConfig{
		Authenticator: b.Authenticator, Entries: NewEntries(b.clock.Now), Refused: func(r Reason) { refused = append(refused, r) },
		Logger: log.Logger(), Now: b.clock.Now,
	})
	ours, planted := b.token(t, nil), b.token(t, map[string]any{"azp": "https://evil.example.com"})
	for _, test := range []struct {
		header   http.Header
		cookies  SessionCookies
		user     string
		byCookie bool
		refused  Reason
	}{
		{http.Header{"Cookie": {"__session=" + ours}}, cookies(), testUser, true, ""},
		{http.Header{"Authorization": {"Bearer " + ours}}, cookies(), testUser, false, ""},
		{http.Header{"Authorization": {"Bearer " + ours}, "Cookie": {"__session=" + planted}}, cookies(), testUser, false, ""},
		{http.Header{"Authorization": {"Bearer " + planted}, "Cookie": {"__session=" + ours}}, cookies(), "", false, ReasonAuthorizedParty},
		{http.Header{"Authorization": {""}, "Cookie": {"__session=" + ours}}, cookies(), "", false, ReasonHeader},
		{http.Header{"Cookie": {"__session=" + planted}}, cookies(), "", true, ReasonAuthorizedParty},
		{http.Header{"Cookie": {"__session=x; __session=y"}}, cookies(), "", true, ReasonCookie},
		{http.Header{"Cookie": {"__session=" + ours}}, SessionCookies{Issuer: testIssuer}, "", false, ReasonMissing},
		{http.Header{"Cookie": {"a=b"}}, cookies(), "", false, ReasonMissing},
		{http.Header{}, cookies(), "", false, ReasonMissing},
	} {
		refused = nil
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		require.NoError(t, err)
		r.Header = test.header.Clone()
		identity, byCookie, err := m.AuthenticateBrowser(r, test.cookies)
		require.Equal(t, test.user, identity.UserID, "%+v", test)
		require.Equal(t, test.byCookie, byCookie, "%+v", test)
		require.Equal(t, test.header, r.Header, "the request stays as it is")
		if test.refused == "" {
			require.NoError(t, err)
			require.Empty(t, refused)
		} else {
			require.ErrorIs(t, err, ErrUnauthenticated)
			require.Equal(t, []Reason{test.refused}, refused)
		}
	}
	require.NotContains(t, log.String(), ours)
}

// FuzzSessionCookies: whatever the cookies are, the reader returns a token that stands in one of
// them under a session's name, and only one that could be of a user.
func FuzzSessionCookies(f *testing.F) {
	f.Add("a=b; __session=x.y.z", "__session_aaaaaaaa=q")
	f.Add("__session=;__session_=x;__session_12345678=rcs_x", `__session="x"`)
	f.Fuzz(func(t *testing.T, first, second string) {
		token, ok := cookies().token(http.Header{"Cookie": {first, second}})
		if !ok || token == "" {
			require.Empty(t, token)
			return
		}
		require.True(t, wellFormedToken(token))
		require.False(t, strings.HasPrefix(token, serviceTokenPrefix))
		require.LessOrEqual(t, len(token), maxAuthorizationBytes)
		in := false
		for _, line := range []string{first, second} {
			before, after, found := strings.Cut(line, "="+token)
			for found && !in {
				name := before[strings.LastIndexAny(before, "; \t")+1:]
				ends := strings.TrimLeft(after, " \t")
				in = (name == sessionCookie || isSuffixed(name)) && (ends == "" || ends[0] == ';')
				var more string
				more, after, found = strings.Cut(after, "="+token)
				before += "=" + token + more
			}
		}
		require.True(t, in, "%q isn't a session in %q or %q", token, first, second)
	})
}
