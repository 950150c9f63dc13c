package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/internal/request"
)

// What pages of the allowed origins may send, and read of answers. A service's header isn't among
// it: no service token belongs into a browser.
const (
	corsRequestHeaders = "Authorization, Content-Type, If-None-Match, " + headerKey + ", " + request.Header
	corsAnswerHeaders  = "Allow, Content-Disposition, ETag, Location, Retry-After, WWW-Authenticate, " + headerReplayed + ", " +
		headerRevision + ", " + headerAsOf + ", " + headerUser + ", " + headerWorkspace + ", " + headerRole + ", " + headerPermission + ", " +
		headerImpersonator + ", " + request.Header
	// corsMaxAge is for how many seconds a browser may remember the answer to a preflight. Browsers
	// have limits of their own, from ten minutes.
	corsMaxAge = "600"
)

// crossOrigin lets pages of Config.BrowserOrigins call the routes for users (the CORS protocol of
// the Fetch standard). It never allows credentials: a page must send the token itself, so that no
// other page can use a cookie. Other origins get the answers without these headers, and browsers
// then keep them from the page. The routes tell the methods of a path.
func (s *server) crossOrigin(routes *mux.Router, next http.Handler) http.Handler {
	if len(s.cfg.BrowserOrigins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !forBrowsers(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		vary(w, "Origin")
		if origin := r.Header.Values("Origin"); len(origin) == 1 && slices.Contains(s.cfg.BrowserOrigins, origin[0]) {
			w.Header().Set("Access-Control-Allow-Origin", origin[0])
			w.Header().Set("Access-Control-Expose-Headers", corsAnswerHeaders)
			if methods := preflown(routes, r); len(methods) > 0 {
				w.Header().Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
				w.Header().Set("Access-Control-Allow-Headers", corsRequestHeaders)
				w.Header().Set("Access-Control-Max-Age", corsMaxAge)
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// forBrowsers reports whether a path is one of those that pages call. The doors for proxies alone
// aren't: a proxy passes its caller's own preflights on to them, and must not take our answer to
// one for a permission. Proxies ask /v1/authorize, too, but always with GET, and the answer to a
// preflight is no 200.
func forBrowsers(path string) bool {
	return path == "/v1/me" || path == "/v1/authorize" || path == "/v1/workspaces" || strings.HasPrefix(path, workspacesPath)
}

// preflown returns the methods of a path if the request is a preflight, which asks for them.
func preflown(routes *mux.Router, r *http.Request) []string {
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return nil
	}
	return methodsOf(routes, r)
}

// vary adds names to the header Vary.
func vary(w http.ResponseWriter, names string) {
	if before := w.Header().Get("Vary"); before != "" {
		names = before + ", " + names
	}
	w.Header().Set("Vary", names)
}
