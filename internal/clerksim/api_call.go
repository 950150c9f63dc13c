package clerksim

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/mux"
)

// KeySetRoute is the route of the public key set. It isn't a part of the Backend API, so a fault
// applies to it only if the fault names it.
const KeySetRoute = "GET " + keySetPath

// Call is one request as [APIFaults] see it.
type Call struct {
	// Route is the method and the pattern of the path behind /v1, such as "GET
	// /organizations/{id}/memberships". It is [KeySetRoute] for the key set, and empty for a path
	// that isn't served.
	Route string
	// Number counts the calls of this route, from 1.
	Number int
	// Total counts the calls of the Backend API, from 1. It is 0 for the key set.
	Total int
	// Request is the request; don't read its body.
	Request *http.Request
}

// Match reports whether a fault concerns a call. Several goroutines may call it. Nil stands for
// every call of the Backend API.
type Match func(Call) bool

// OnRoute matches the calls of one route, such as "GET /organization_memberships". With numbers it
// matches only these calls, counted from 1.
func OnRoute(route string, numbers ...int) Match {
	return func(c Call) bool {
		return c.Route == route && (len(numbers) == 0 || slices.Contains(numbers, c.Number))
	}
}

// OnPage matches the calls of one route that ask for the page at an offset, retries included.
func OnPage(route, offset string) Match {
	return func(c Call) bool { return c.Route == route && c.Request.URL.Query().Get("offset") == offset }
}

// EveryNth matches each n-th call of the Backend API.
func EveryNth(n int) Match {
	return func(c Call) bool { return c.Total > 0 && c.Total%n == 0 }
}

// Times matches only the first n calls that when matches.
func Times(n int, when Match) Match {
	var mu sync.Mutex
	return func(c Call) bool {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 || !when.matches(c) {
			return false
		}
		n--
		return true
	}
}

// EveryOther matches the first, third, fifth … call that when matches, so that answers alternate.
func EveryOther(when Match) Match {
	var mu sync.Mutex
	matched := false
	return func(c Call) bool {
		mu.Lock()
		defer mu.Unlock()
		if !when.matches(c) {
			return false
		}
		matched = !matched
		return matched
	}
}

// Lookups matches the GETs that ask for objects by their ids. They ask for one object by its path,
// or for a list narrowed by user_id or organization_id, as the look-up of a membership does.
func Lookups(c Call) bool {
	query := c.Request.URL.Query()
	return c.reads() && (strings.HasSuffix(c.Route, "id}") || query.Has("user_id") || query.Has("organization_id"))
}

// Listings matches every other GET of a list.
func Listings(c Call) bool { return c.reads() && !Lookups(c) && c.Route != "GET /instance" }

func (c Call) reads() bool {
	return strings.HasPrefix(c.Route, http.MethodGet) && c.Route != KeySetRoute
}

func (m Match) matches(c Call) bool {
	if m == nil {
		return c.Total > 0
	}
	return m(c)
}

// routeMatcher names the route of a request, without serving it.
type routeMatcher struct{ router *mux.Router }

func newRouteMatcher() routeMatcher {
	router := mux.NewRouter()
	router.Path(keySetPath).Methods(http.MethodGet).Name(KeySetRoute)
	for _, r := range (&api{}).routes() {
		router.Path(apiPrefix + r.path).Methods(r.method).Name(r.method + " " + r.path)
	}
	return routeMatcher{router}
}

func (m routeMatcher) name(req *http.Request) string {
	var match mux.RouteMatch
	if !m.router.Match(req, &match) || match.Route == nil {
		return ""
	}
	return match.Route.GetName()
}
