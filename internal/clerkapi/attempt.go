package clerkapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// attemptTimeout bounds one attempt, from the connection to the last byte. Clerk's own SDK
	// gives up after 5 s; a page of 500 may take longer.
	attemptTimeout = 10 * time.Second
	// maxBody bounds an answer: 64 KiB for each of 500 objects. Clerk allows at most 8 KB for each
	// of an object's metadata.
	maxBody = 32 << 20
)

// attempt is the innermost layer. It sends a request once and reads the whole answer, so that the
// layers around it judge what really arrived. Its response has a 2xx status and a body in memory.
// Everything else is an error, mostly an [*Error]. A redirect is an error, too: it isn't Clerk's
// answer and could lead the key elsewhere. An error of the caller's context is returned unchanged.
type attempt struct {
	next   http.RoundTripper
	secret string
}

// RoundTrip implements [http.RoundTripper].
func (a *attempt) RoundTrip(req *http.Request) (*http.Response, error) {
	trip := tripOf(req.Context())
	trip.attempts++
	trip.status = 0
	ctx, cancel := context.WithTimeout(req.Context(), attemptTimeout)
	defer cancel()
	resp, err := a.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, a.lost(req, err)
	}
	defer func() { _ = resp.Body.Close() }()
	trip.status = resp.StatusCode
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case resp.StatusCode/100 != 2:
		return nil, refusal(req.Method, resp, body, a.secret) // as far as it can be read
	case err != nil:
		trip.status = 0
		return nil, a.lost(req, err)
	case len(body) > maxBody:
		return nil, malformed("the answer is larger than %d bytes", maxBody)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// lost is the error of an attempt without an answer, or with only a part of one.
func (a *attempt) lost(req *http.Request, err error) error {
	if ended := req.Context().Err(); ended != nil {
		return ended
	}
	return unavailable(excerpt(err.Error(), a.secret), err)
}

// maxRetryAfter bounds what a header may ask for. The longest window of Clerk's limits is an hour.
const maxRetryAfter = time.Hour

// retryAfter reads the Retry-After header: seconds or a date (RFC 9110, section 10.2.3). It returns
// 0 for a missing or meaningless one.
func retryAfter(header http.Header, now time.Time) time.Duration {
	raw := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(raw, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	} else if errors.Is(err, strconv.ErrRange) {
		return maxRetryAfter
	}
	if date, err := http.ParseTime(raw); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
