package clerksim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// APIFaults are the faults between a world's Backend API and its callers, and a log of the calls.
// The zero value isn't usable. [NewAPIFaults] makes one without faults, whose Middleware is for
// [World.Handler]:
//
//	faults := clerksim.NewAPIFaults()
//	handler := world.Handler(faults.Middleware)
//	lift := faults.Fail(http.StatusBadGateway, clerksim.OnPage("GET /organization_memberships", "500"))
//
// Faults may be added and lifted while calls are served. Each method that adds one returns the
// function that lifts it, which may be called more than once. Several faults of one call apply in
// the order in which they were added.
type APIFaults struct {
	matcher routeMatcher

	mu      sync.Mutex
	faults  []*fault
	total   int
	calls   map[string]int
	waiting map[string][]waiter
}

// fault is one fault. One of its functions is set.
type fault struct {
	when    Match
	before  func(Call)                          // the world changes, before the answer is made
	wait    func(context.Context) error         // until the answer may be made; an error ends the call without one
	refusal func(http.ResponseWriter) bool      // answers instead, or lets pass
	distort func(*distortion)                   // changes what the answer says
	after   func(Call)                          // the world changes, between making the answer and sending it
	cut     func(complete []byte) (sent []byte) // changes the bytes
	from    http.Handler                        // makes the answer instead of the world
}

// waiter waits for a route's calls to reach a number.
type waiter struct {
	number  int
	reached chan struct{}
}

// NewAPIFaults returns an empty set of faults.
func NewAPIFaults() *APIFaults {
	return &APIFaults{matcher: newRouteMatcher(), calls: make(map[string]int), waiting: make(map[string][]waiter)}
}

// Clear lifts every fault. Calls that hang already still hang; the log of calls stays.
func (f *APIFaults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Calls returns how many calls of each route were made, refused ones included. See [Call] for the
// names.
func (f *APIFaults) Calls() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.calls)
}

// Reached returns a channel that is closed when the n-th call of a route arrives, before it is
// answered; at once if it has already.
func (f *APIFaults) Reached(route string, n int) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	reached := make(chan struct{})
	if f.calls[route] >= n {
		close(reached)
	} else {
		f.waiting[route] = append(f.waiting[route], waiter{number: n, reached: reached})
	}
	return reached
}

// Middleware makes the faults apply to a handler of one world. It may wrap several.
func (f *APIFaults) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		call, faults := f.note(req)
		var distorted distortion
		for _, fault := range faults {
			if !fault.pass(w, call, &distorted) {
				return
			}
		}
		answer, made := newHeldAnswer(), next
		for _, fault := range faults {
			if fault.from != nil {
				made = fault.from
			}
		}
		made.ServeHTTP(answer, distorted.into(req))
		for _, fault := range faults {
			fault.finish(call, answer)
		}
		answer.send(w)
	})
}

// pass reports whether an answer is to be made.
func (f *fault) pass(w http.ResponseWriter, call Call, distorted *distortion) bool {
	switch {
	case f.before != nil:
		f.before(call)
	case f.wait != nil:
		if hold(call.Request, f.wait) != nil {
			hangUp(w)
			return false
		}
	case f.refusal != nil:
		return !f.refusal(w)
	case f.distort != nil:
		f.distort(distorted)
	}
	return true
}

// finish does what comes between making an answer and sending it.
func (f *fault) finish(call Call, answer *heldAnswer) {
	if f.after != nil {
		f.after(call)
	}
	if f.cut != nil {
		answer.body = f.cut(answer.body)
	}
}

// hold reads the request before it waits: a server notices that its caller gave up only after it
// has read the body.
func hold(req *http.Request, wait func(context.Context) error) error {
	if req.Body == nil { // a test's transport may pass a client's request on as it is
		return wait(req.Context())
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxRequest))
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	return wait(req.Context())
}

// hangUp closes the connection, if there is one. A plain return would send an empty 200.
func hangUp(w http.ResponseWriter) {
	if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = connection.Close() // the caller is gone, or has to see a broken connection
	}
}

// note counts a call, wakes its waiters and returns the faults that concern it.
func (f *APIFaults) note(req *http.Request) (Call, []*fault) {
	call := Call{Route: f.matcher.name(req), Request: req}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[call.Route]++
	call.Number = f.calls[call.Route]
	if call.Route != KeySetRoute {
		f.total++
		call.Total = f.total
	}
	f.waiting[call.Route] = slices.DeleteFunc(f.waiting[call.Route], func(w waiter) bool {
		if w.number > call.Number {
			return false
		}
		close(w.reached)
		return true
	})
	var concerned []*fault
	for _, fault := range f.faults {
		if fault.when.matches(call) {
			concerned = append(concerned, fault)
		}
	}
	return call, concerned
}

func (f *APIFaults) add(added fault) (lift func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &added)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.faults = slices.DeleteFunc(f.faults, func(other *fault) bool { return other == &added })
	}
}

// heldAnswer is an answer that was made and not sent.
type heldAnswer struct {
	header http.Header
	status int
	body   []byte
}

func newHeldAnswer() *heldAnswer {
	return &heldAnswer{header: make(http.Header), status: http.StatusOK}
}

func (a *heldAnswer) Header() http.Header { return a.header }

func (a *heldAnswer) WriteHeader(status int) { a.status = status }

func (a *heldAnswer) Write(part []byte) (int, error) {
	a.body = append(a.body, part...)
	return len(part), nil
}

func (a *heldAnswer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the caller may have hung up
}
