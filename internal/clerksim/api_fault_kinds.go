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

// FailWithCode is [APIFaults.Fail] with a code of Clerk's, and with a trace id as all refusals
// have.
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

// FailWithHTML answers calls with a status and a page for people, as what stands in front of Clerk
// does.
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

// Hang answers calls never: each lasts until its caller gives up, also after the fault was lifted.
func (f *APIFaults) Hang(when Match) (lift func()) {
	return f.Slow(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}, when)
}

// Slow answers calls after wait returned: a test can wait for whatever it likes. The context ends
// when the caller gives up. An error of wait closes the connection without an answer.
func (f *APIFaults) Slow(wait func(context.Context) error, when Match) (lift func()) {
	return f.add(fault{when: when, wait: wait})
}

// BeforeAnswer calls change before each answer is made: what it does to the world is in it.
func (f *APIFaults) BeforeAnswer(change func(Call), when Match) (lift func()) {
	return f.add(fault{when: when, before: change})
}

// AfterAnswer calls change after each answer was made and before it is sent: what it does to the
// world isn't in it, and has happened when the caller asks for the next page.
func (f *APIFaults) AfterAnswer(change func(Call), when Match) (lift func()) {
	return f.add(fault{when: when, after: change})
}

// CutBody sends the first half of each answer, with a length that says it is whole.
func (f *APIFaults) CutBody(when Match) (lift func()) {
	return f.add(fault{when: when, cut: func(complete []byte) []byte { return complete[:len(complete)/2] }})
}

// ShortenPages leaves the last n objects out of each page of a list. What total_count says stays.
func (f *APIFaults) ShortenPages(n int, when Match) (lift func()) {
	return f.add(fault{when: when, distort: func(d *distortion) { d.short += n }})
}

// MiscountTotals adds by, which may be negative, to each total_count.
func (f *APIFaults) MiscountTotals(by int, when Match) (lift func()) {
	return f.add(fault{when: when, distort: func(d *distortion) { d.miscount += by }})
}

// Omit makes calls not know the objects with these ids: lists lack them and don't count them, one
// asked for by its id is not found. With [Listings] the objects are missed by a sweep and confirmed
// by a look-up; with [Lookups] it is the other way round.
func (f *APIFaults) Omit(when Match, ids ...string) (lift func()) {
	return f.add(fault{when: when, distort: func(d *distortion) { d.hidden = append(d.hidden, ids...) }})
}

// Empty makes calls know no object at all: lists are empty and count none, and one object asked for
// by its id is not found.
func (f *APIFaults) Empty(when Match) (lift func()) {
	return f.add(fault{when: when, distort: func(d *distortion) { d.empty = true }})
}

// AnswerFrom answers reads from an earlier state of the world, as a replica does that is behind.
// What changes something is answered from the world itself. See [World.Snapshot].
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

// codeOf is what Clerk calls a failure that isn't about the request's content.
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
