package clerkapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	clerksync "github.com/callmine/rolecall/sync"
)

// The kinds of errors, for errors.Is. A refusal of none of these kinds is an [*Error] with its
// status and code only.
var (
	// ErrUnauthorized means that Clerk doesn't know the key: it is wrong, or its instance was
	// deleted. Trying again can't help; an operator has to change the configuration. A feature that
	// the instance doesn't have is a refusal with a code.
	ErrUnauthorized = clerksync.ErrUnauthorized
	// ErrUnavailable means that Clerk gave no answer: the network failed, a time-out or a 5xx came,
	// or these have opened the circuit breaker.
	ErrUnavailable = clerksync.ErrUnavailable
	// ErrRateLimited means that Clerk's rate limit, or our share of it, is used up.
	ErrRateLimited = clerksync.ErrRateLimited
	// ErrMalformed means that the answer isn't of Clerk's form.
	ErrMalformed = errors.New("the answer isn't Clerk's")
)

// Error is a call that brought no usable answer.
type Error struct {
	// Status is the HTTP status of the answer; 0 if there was none.
	Status int
	// Code is Clerk's code of the first error, such as "resource_not_found"; "" if the body wasn't
	// of Clerk's form.
	Code string
	// Param is the parameter at fault, as Clerk calls it; "" if Clerk names none.
	Param string
	// Message is for people: Clerk's own, or the beginning of another body, at most 200 bytes.
	Message string
	// TraceID names the call for Clerk's support. It may be empty.
	TraceID string
	// RetryAfter is how long to wait before another call; 0 if unknown.
	RetryAfter time.Duration

	kind  error // one of the sentinels, or nil
	cause error // the error that caused it, or nil
	retry bool  // whether the call may be tried again
}

// Error returns one line for people, without the secret key.
func (e *Error) Error() string {
	var b strings.Builder
	if e.kind != nil {
		b.WriteString(e.kind.Error() + ": ")
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, "status %d ", e.Status)
	}
	if e.Code != "" {
		b.WriteString(e.Code + " ")
	}
	b.WriteString(e.Message)
	if e.TraceID != "" {
		fmt.Fprintf(&b, " (trace %s)", e.TraceID)
	}
	return strings.TrimSpace(b.String())
}

// Unwrap returns the sentinel and the cause, as far as there are any.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.kind, e.cause} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Explain implements clerksync.Explained.
func (e *Error) Explain() clerksync.Explanation {
	return clerksync.Explanation{Status: e.Status, Code: e.Code, TraceID: e.TraceID}
}

func unavailable(message string, cause error) *Error {
	return &Error{Message: message, kind: ErrUnavailable, cause: cause}
}

func rateLimited(message string, retryAfter time.Duration) *Error {
	return &Error{Message: message, RetryAfter: retryAfter, kind: ErrRateLimited}
}

// malformed is the error of an answer with a 2xx status and wrong content.
func malformed(format string, args ...any) *Error {
	return &Error{Status: http.StatusOK, Message: fmt.Sprintf(format, args...), kind: ErrMalformed}
}

// refusal reads an answer whose status isn't 2xx (contract:
// {"errors":[{code,message}],"clerk_trace_id"}).
func refusal(method string, resp *http.Response, body []byte, secret string) *Error {
	var clerks struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Meta    struct {
				Param string `json:"param_name"`
			} `json:"meta"`
		} `json:"errors"`
		TraceID string `json:"clerk_trace_id"`
	}
	e := &Error{
		Status: resp.StatusCode, TraceID: excerpt(resp.Header.Get("Clerk-Trace-Id"), secret),
		RetryAfter: retryAfter(resp.Header, time.Now()),
	}
	if err := json.Unmarshal(body, &clerks); err == nil && len(clerks.Errors) > 0 && clerks.Errors[0].Code != "" {
		first := clerks.Errors[0]
		e.Code, e.Message, e.Param = excerpt(first.Code, secret), excerpt(first.Message, secret), excerpt(first.Meta.Param, secret)
		if clerks.TraceID != "" {
			e.TraceID = excerpt(clerks.TraceID, secret)
		}
	} else {
		e.Message = excerpt(string(body), secret)
	}
	e.kind = kindOf(e.Status, e.Code)
	if e.kind == nil && method != http.MethodGet {
		e.kind = refusalOf(e)
	}
	return e
}

func kindOf(status int, code string) error {
	switch {
	case status == http.StatusUnauthorized:
		return ErrUnauthorized // a 403 is about the request, not about the key
	case status == http.StatusTooManyRequests:
		return ErrRateLimited
	case status >= http.StatusInternalServerError:
		return ErrUnavailable
	case code == "": // a redirect, or an error page of something between Clerk and us
		return ErrMalformed
	default:
		return nil
	}
}

const (
	// maxExcerpt is how many bytes of a foreign text an error may contain: enough to recognize a
	// proxy's error page.
	maxExcerpt = 200
	// maxRead is how many bytes of such a text are read.
	maxRead = 4 << 10
)

// excerpt returns the beginning of a text on one line, without the secret and without e-mail
// addresses.
func excerpt(text, secret string) string {
	text = redact(text[:min(len(text), maxRead)], secret) // before the cut, which could leave half a key
	words := strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	for i, word := range words {
		if strings.Contains(word, "@") {
			words[i] = "[address]"
		}
	}
	text = strings.Join(words, " ")
	return strings.ToValidUTF8(text[:min(len(text), maxExcerpt)], "")
}

func redact(text, secret string) string { return strings.ReplaceAll(text, secret, "[secret key]") }
