package request

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// OtherRoute is the route of requests that no route takes.
const OtherRoute = "other"

// Record is what is known of one request. It is safe for concurrent use. A nil record has no id,
// and forgets what it is told.
type Record struct {
	// ID names the request: see [Header].
	ID string
	// Began is when the request's head had been read.
	Began time.Time

	request *http.Request

	mu       sync.Mutex
	route    string
	known    bool   // whether the caller is
	service  string // "" for a user
	hidePath bool
	waited   time.Duration
	notes    []slog.Attr
}

type recordKey struct{}

// Of returns the record of the request that a context belongs to, or nil.
func Of(ctx context.Context) *Record {
	r, _ := ctx.Value(recordKey{}).(*Record)
	return r
}

// ID returns the id of the request that a context belongs to, or "".
func ID(ctx context.Context) string {
	if r := Of(ctx); r != nil {
		return r.ID
	}
	return ""
}

// Route returns the template of the request's path, such as /v1/workspaces/{workspace_id}; it is
// [OtherRoute] if no route takes the request, or before the request has been routed.
func (r *Record) Route() string {
	if r == nil {
		return OtherRoute
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.route == "" {
		return OtherRoute
	}
	return r.route
}

// SetRoute notes the template of the request's path.
func (r *Record) SetRoute(template string) {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.route = template
	}
}

// HidePath says that the path is a customer's own, and may be secret: [Record.Path] is the route
// then.
func (r *Record) HidePath() {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.hidePath = true
	}
}

// Caller returns "user", "service:NAME", or "none" for a request whose caller isn't known.
func (r *Record) Caller() string {
	if r == nil {
		return noCaller
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.known:
		return noCaller
	case r.service != "":
		return "service:" + r.service
	default:
		return "user"
	}
}

const noCaller = "none"

// SetCaller notes that a user sent the request or, if it is named, a service.
func (r *Record) SetCaller(service string) {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.known, r.service = true, service
	}
}

// Note adds an attribute to the lines about the request: its access line, its warnings and errors.
// It must name what the request was about, by an id.
func (r *Record) Note(about slog.Attr) {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.notes = append(slices.Clip(r.notes), about)
	}
}

// Waited notes that the request waited for something to happen: that was no work.
func (r *Record) Waited(d time.Duration) {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waited += d
	}
}

// Notes returns the attributes that were noted.
func (r *Record) Notes() []slog.Attr {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notes
}

// OtherMethod is the method of requests with one that HTTP doesn't define.
const OtherMethod = "other"

// Method returns the request's method, or [OtherMethod]. So it has few values.
func (r *Record) Method() string {
	if r == nil {
		return OtherMethod
	}
	switch r.request.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
		http.MethodConnect, http.MethodTrace:
		return r.request.Method
	default:
		return OtherMethod
	}
}

const (
	// maxSegment is the longest segment of a path that is shown, in bytes. Ids are shorter, and
	// session tokens are longer.
	maxSegment = 64
	// maxPath bounds, in bytes, how much of a path is shown.
	maxPath = 300
	hidden  = "…"
)

// isHidden reports whether a part of a path may be a token or somebody's address.
func isHidden(part string) bool {
	if len(part) > maxSegment || strings.Contains(part, "@") {
		return true
	}
	for _, begins := range []string{"rcs_", "rco_", "sk_live_", "sk_test_", "whsec_"} { // Rolecall's tokens and Clerk's secrets are short
		if strings.Contains(part, begins) {
			return true
		}
	}
	return false
}

// Path returns the request's path for people, without its query. Each part that may be a token or
// somebody's address is left out: one that is longer than 64 bytes, has an @, or begins as
// Rolecall's tokens and Clerk's secrets do.
func (r *Record) Path() string {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	hide, route := r.hidePath, r.route
	r.mu.Unlock()
	if hide {
		return route
	}
	path := r.request.URL.Path
	if !isHidden(path) {
		return path
	}
	if len(path) > maxPath {
		path = path[:maxPath] + "@" // the rest is left out with the part that it begins in
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if isHidden(segment) {
			segments[i] = hidden
		}
	}
	return strings.Join(segments, "/")
}
