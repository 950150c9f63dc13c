package auth

import (
	"net/http"
	"strings"
)

// maxAuthorizationBytes bounds the Authorization header. A session token is about 1 KiB, and Clerk
// keeps custom claims below 1.2 KiB because the token must fit into a cookie of 4 KiB; twice a
// cookie leaves room and bounds the hashing.
const maxAuthorizationBytes = 8 << 10

// bearerToken returns the token of the request's one Authorization header, in RFC 6750's form: the
// scheme in any case, one or more spaces, the token. It refuses two headers, because a proxy in
// front might choose the other one. Only the alphabet of service tokens and compact JWS passes,
// without spaces, padding or commas, so that the next reader can read the token in only one way.
func bearerToken(header http.Header) (string, error) {
	values := header["Authorization"]
	switch {
	case len(values) == 0:
		return "", refuse(ReasonMissing)
	case len(values) > 1:
		return "", refuse(ReasonHeader)
	case len(values[0]) > maxAuthorizationBytes:
		return "", refuse(ReasonTooLarge)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || !wellFormedToken(token) {
		return "", refuse(ReasonHeader)
	}
	return token, nil
}

// tokenBytes are base64url's alphabet and the dot between a JWS's parts.
const tokenBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

// inToken says of each byte whether it is one of tokenBytes. It is an array because every request's
// whole token is read.
var inToken = func() (in [256]bool) {
	for i := range len(tokenBytes) {
		in[tokenBytes[i]] = true
	}
	return in
}()

// wellFormedToken reports whether token is one or more of tokenBytes.
func wellFormedToken(token string) bool {
	for i := range len(token) {
		if !inToken[token[i]] {
			return false
		}
	}
	return token != ""
}
