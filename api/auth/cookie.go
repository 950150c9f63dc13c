package auth

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

const (
	// sessionCookie is the cookie in which Clerk's scripts keep the session token.
	sessionCookie = "__session"
	// cookieSuffix is the length of the suffix with which newer scripts tell several applications
	// of one domain apart: "__session_" and eight characters of a hash.
	cookieSuffix = 8
)

// SessionCookies reads the session tokens that browsers keep in cookies. The zero value reads none.
type SessionCookies struct {
	// Issuer is the issuer whose tokens count, as in [Config].
	Issuer string
	// AuthorizedParties are the origins whose tokens are accepted, as in [Config]. Without any, no
	// cookie is read: any sub-domain could plant a cookie with a token of its own, and only the
	// token's azp tells that.
	AuthorizedParties []string
}

// AuthenticateBrowser identifies the caller by the Authorization header or, if there is none, by
// the cookie of the session. byCookie says which. It is for routes that change nothing: a browser
// sends cookies also with the requests that other sites make it send.
func (m *Monitor) AuthenticateBrowser(r *http.Request, cookies SessionCookies) (identity Identity, byCookie bool, err error) {
	if len(r.Header["Authorization"]) > 0 || len(cookies.AuthorizedParties) == 0 {
		identity, err = m.Authenticate(r)
		return identity, false, err
	}
	token, ok := cookies.token(r.Header)
	switch {
	case !ok:
		return Identity{}, true, m.refuse(r, &Error{Reason: ReasonCookie})
	case token == "":
		identity, err = m.Authenticate(r)
		return identity, false, err
	}
	bearing := *r
	bearing.Header = maps.Clone(r.Header)
	bearing.Header.Set("Authorization", "Bearer "+token)
	identity, err = m.Authenticate(&bearing)
	return identity, true, err
}

// token returns the session token in the cookies of a request, or "" if there is none. Cookies with
// a suffix go first. Of several such cookies, those with a token of the issuer count. It reports
// false if the token isn't one of Clerk's, or if two different ones are left: a service behind
// might take the other one.
func (c SessionCookies) token(header http.Header) (token string, ok bool) {
	plain, suffixed := sessionTokens(header["Cookie"])
	if len(suffixed) > 1 {
		suffixed = slices.DeleteFunc(suffixed, func(token string) bool { return peek(token).Issuer != c.Issuer })
		if len(suffixed) == 0 {
			return "", false
		}
	}
	if len(suffixed) > 0 {
		plain = suffixed
	}
	switch {
	case len(plain) == 0:
		return "", true
	case len(plain) > 1 || len(plain[0]) > maxAuthorizationBytes || !wellFormedToken(plain[0]) || strings.HasPrefix(plain[0], serviceTokenPrefix):
		return "", false
	default:
		return plain[0], true
	}
}

// sessionTokens returns the different values of the session's cookies, without empty ones: Clerk's
// scripts empty a cookie when the session ends.
func sessionTokens(cookies []string) (plain, suffixed []string) {
	add := func(to []string, value string) []string {
		if value == "" || slices.Contains(to, value) {
			return to
		}
		return append(to, value)
	}
	for _, line := range cookies {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, found := strings.Cut(strings.Trim(pair, " \t"), "=")
			switch {
			case !found:
			case name == sessionCookie:
				plain = add(plain, value)
			case isSuffixed(name):
				suffixed = add(suffixed, value)
			}
		}
	}
	return plain, suffixed
}

// isSuffixed reports whether a cookie's name is that of a session with a suffix.
func isSuffixed(name string) bool {
	suffix, found := strings.CutPrefix(name, sessionCookie+"_")
	return found && len(suffix) == cookieSuffix && wellFormedToken(suffix) && !strings.Contains(suffix, ".")
}

// FromOwnPage reports whether one of the application's own pages sent a request, by headers that a
// page's script can't set. A request with a cookie may also come from another site's page.
func (c SessionCookies) FromOwnPage(header http.Header) bool {
	site, origin := header["Sec-Fetch-Site"], header["Origin"]
	return len(site) == 1 && site[0] == "same-origin" || len(origin) == 1 && slices.Contains(c.AuthorizedParties, origin[0])
}
