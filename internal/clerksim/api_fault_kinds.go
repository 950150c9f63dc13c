package clerksim

import (
	"context"
	"io"
	"net/http"
	"strconv"
)

// Fail answers calls with a status and an error in Clerk's form.
func (f *APIFaults) Fail(status int, when Match) (lift func()) {
	return f.add(fault{when: when, refusal: func(w http.ResponseWriter) bool {
		writeFailure(w, status)
		return true
	}})
}

// FailWithCode is [APIFaults.Fail] with a code of Clerk's, and with a trace id as in all refusals.
func (f *APIFaults) FailWithCode(status int, code Code, when Match) (lift func()) {
	return f.add(fault{when: when, refusal: func(w http.ResponseWriter) bool {
		write(w, status, errorsBodyOf(refuse(code, "a fault demands %s", code)))
		return true
	}})
}

// FailWithRetryAfter is [APIFaults.Fail] with a Retry-After header, which may be anything: seconds,
// a date or nonsense.
func (f *APIFaults) FailWithRetryAfter(status int, retryAfter string, when Match) (lift func()) {
	return f.add(fault{when: when, refusal: func(w http.ResponseWriter) bool {
		w.Header().Set("Retry-After", retryAfter)
		writeFailure(w, status)
		return true
	}})
}

// FailWithHTML answers calls with a status and an HTML page, as a proxy in front of Clerk does.
func (f *APIFaults) FailWithHTML(status int, when Match) (lift func()) {
	return f.add(fault{when: when, refusal: func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html><title>"+strconv.Itoa(status)+"</title></html>") // see heldAnswer.send
		return true
	}})
}

// Down answers every call with 503, the key set's too: all of Clerk is down.
func (f *APIFaults) Down() (lift func()) {
	return f.Fail(http.StatusServiceUnavailable, func(Call) bool { return true })
}

// Hang never answers calls. Each lasts until its caller gives up, also after the fault was lifted.
func (f *APIFaults) Hang(when Match) (lift func()) {
	return f.Slow(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}, when)
}

// Slow answers calls after wait returned, so that a test decides how long. The context ends when
// the caller gives up. An error of wait closes the connection without an answer.
func (f *APIFaults) Slow(wait func(context.Context) error, when Match) (lift func()) {
	return f.add(fault{when: when, wait: wait})
}

// BeforeAnswer calls change before each answer is made, which then includes the changes to the
// world.
func (f *APIFaults) BeforeAnswer(change func(Call), when Match) (lift func()) {
	return f.add(fault{when: when, before: change})
}

// AfterAnswer calls change after each answer was made and before it is sent. The answer lacks the
// changes to the world, and the next page has them.
func (f *APIFaults) AfterAnswer(change func(Call), when Match) (lift func()) {
	return f.add(fault{when: when, after: change})
}

// CutBody sends the first half of each answer, with the length of the whole.
func (f *APIFaults) CutBody(when Match) (lift func()) {
	return f.add(fault{when: when, cut: func(complete []byte) []byte { return complete[:len(complete)/2] }})
}

// ShortenPages leaves the last n objects out of each page of a list. total_count stays.
func (f *APIFaults) ShortenPages(n int, when Match) (lift func()) {
	return f.add(fault{when: when, distort: func(d *distortion) { d.short += n }})
}

// MiscountTotals adds by, which may be negative, to each total_count.
func (f *APIFaults) MiscountTotals(by int, when Match) (lift func()) {
	return f.add(fault{when: when, distort: func(d *distortion) { d.miscount += by }})
}

// Omit hides the objects with these ids from calls: lists lack them and don't count them, and a GET
// by id doesn't find them. With [Listings], sweeps miss the objects and look-ups find them. With
// [Lookups] it is the other way round.
func (f *APIFaults) Omit(when Match, ids ...string) (lift func()) {
	return f.add(fault{when: when, distort: func(d *distortion) { d.hidden = append(d.hidden, ids...) }})
}

// Empty hides all objects from calls: lists are empty and count none, and a GET by id finds
// nothing.
func (f *APIFaults) Empty(when Match) (lift func()) {
	return f.add(fault{when: when, distort: func(d *distortion) { d.empty = true }})
}

// AnswerFrom answers reads from an earlier state of the world, as a lagging replica does. Writes
// are answered from the world itself. See [World.Snapshot].
func (f *APIFaults) AnswerFrom(earlier *World, when Match) (lift func()) {
	return f.add(fault{
		when: func(c Call) bool { return c.reads() && when.matches(c) }, from: earlier.Handler(),
	})
}

// PoseAs makes GET /instance tell another instance's id.
func (f *APIFaults) PoseAs(instanceID string) (lift func()) {
	return f.add(fault{distort: func(d *distortion) { d.instanceID = instanceID }})
}

func writeFailure(w http.ResponseWriter, status int) {
	write(w, status, errorsBodyOf(refuse(codeOf(status), "a fault demands status %d", status)))
}

// codeOf is Clerk's code for a failure that isn't about the request's content.
func codeOf(status int) Code {
	switch status {
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return "authorization_invalid"
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusTooManyRequests:
		return "too_many_requests"
	case http.StatusServiceUnavailable:
		return "service_unavailable"
	default:
		return "internal_clerk_error"
	}
}
