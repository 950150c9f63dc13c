package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// plainPaths answers every request with 404 whose path two programs could read differently. A proxy
// in front may have decided by another reading.
func (s *server) plainPaths(next http.Handler) http.Handler {
	refuse := s.failWith(errNotFound)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isPlain(r.URL) {
			refuse.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isPlain reports whether a path has only one reading. It must be UTF-8, without a backslash and
// without escaped separators, dots or percent signs. No segment may be empty or made of dots. Other
// odd characters make an unknown id, which is refused like any other unknown id.
func isPlain(u *url.URL) bool {
	written := strings.ToLower(u.EscapedPath())
	for _, escape := range []string{"%2f", "%2e", "%5c", "%25"} {
		if strings.Contains(written, escape) {
			return false
		}
	}
	rest, rooted := strings.CutPrefix(u.Path, "/")
	segments := strings.Split(strings.TrimSuffix(rest, "/"), "/") // no route ends with a slash, so that such a path is unknown
	return rooted && utf8.ValidString(u.Path) && !strings.Contains(u.Path, `\`) && (rest == "" || !slices.ContainsFunc(segments, isDots))
}

func isDots(segment string) bool { return segment == "" || segment == "." || segment == ".." }
