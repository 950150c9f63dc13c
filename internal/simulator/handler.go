package simulator

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// versionPrefix begins the paths of the Backend API.
const versionPrefix = "/v1"

// handler serves the control API, which no fault touches, and the Backend API with the keys.
func (s *Simulator) handler() http.Handler {
	control := http.NewCrossOriginProtection().Handler(s.control())
	clerk := withVersion(s.world.Handler(s.faults.Middleware))
	return s.onlyKnownHosts(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, controlPrefix+"/") {
			control.ServeHTTP(w, req)
			return
		}
		clerk.ServeHTTP(w, req)
	}))
}

// onlyKnownHosts refuses requests to other names: a name that somebody else points at this machine
// would let a foreign web page in. An address can't be pointed anywhere.
func (s *Simulator) onlyKnownHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !s.knowsHost(req.Host) {
			writeError(w, http.StatusMisdirectedRequest, "the simulator isn't called "+req.Host+": use localhost, or start it with this name")
			return
		}
		next.ServeHTTP(w, req)
	})
}

func (s *Simulator) knowsHost(host string) bool {
	name := host
	if before, _, err := net.SplitHostPort(host); err == nil {
		name = before
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	return name == "localhost" || net.ParseIP(name) != nil ||
		slices.ContainsFunc(s.cfg.Hosts, func(known string) bool { return strings.EqualFold(known, name) })
}

// withVersion adds /v1 to paths without it. So one CLERK_API_URL is right for Clerk's JavaScript
// SDK, which adds /v1 itself, and for callers that don't.
func withVersion(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasPrefix(req.URL.Path, versionPrefix+"/") && !strings.HasPrefix(req.URL.Path, "/.well-known/") {
			req = req.Clone(req.Context())
			req.URL.Path, req.URL.RawPath = versionPrefix+req.URL.Path, ""
		}
		next.ServeHTTP(w, req)
	})
}
