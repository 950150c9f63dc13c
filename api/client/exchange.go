package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// request is one question.
type request struct {
	method string
	path   string // defaults to /v1/authorize
	token  string
	query  url.Values
	body   any // as JSON; nil for none

	patient bool // HTTPClient's Timeout doesn't count: the context bounds the answer
	most    int  // bytes of an answer; defaults to maxAnswer
}

// exchange sends the request, with up to Retries retries within Timeout, and decodes an answer of
// 200.
func (c *Client) exchange(ctx context.Context, q request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var body []byte
	if q.body != nil {
		var err error
		if body, err = json.Marshal(q.body); err != nil {
			return err
		}
	}
	for tries := 0; ; tries++ {
		answer, err := c.try(ctx, q, body)
		if err == nil {
			if json.Unmarshal(answer, into) != nil {
				return ErrNotADecision
			}
			return nil
		}
		if tries >= c.cfg.Retries || !passing(err) || !pause(ctx) {
			return err
		}
	}
}

const headerRequestID = "X-Request-Id"

type requestIDKey struct{}

// WithRequestID returns a context under which the client names its questions by the id of the
// request that the program is answering. Rolecall's log then has that id. The middleware does this
// by itself, with the header X-Request-Id. An id that isn't 1 to 128 visible ASCII characters is
// left out.
func WithRequestID(ctx context.Context, id string) context.Context {
	if id == "" || len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ctx
	}
	return context.WithValue(ctx, requestIDKey{}, id)
}

// passing reports whether another try may succeed: after network errors, and after the statuses of
// outages.
func passing(err error) bool {
	if errors.Is(err, ErrNotADecision) {
		return false
	}
	answered, ok := errors.AsType[*Error](err)
	if !ok {
		return true
	}
	switch answered.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

// pause waits before another try, and reports whether there is time for one.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(retryPause):
		return true
	}
}

// try sends the request once and returns the body of an answer of 200. Any other answer is an
// *Error.
func (c *Client) try(ctx context.Context, q request, body []byte) ([]byte, error) {
	target := c.base + cmp.Or(q.path, "/v1/authorize")
	if q.query != nil {
		target += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+q.token)
	r.Header.Set("Accept", "application/json, application/problem+json")
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if id, _ := ctx.Value(requestIDKey{}).(string); id != "" {
		r.Header.Set(headerRequestID, id)
	}
	sender := c.http
	if q.patient {
		sender = c.patient
	}
	response, err := sender.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	most := cmp.Or(q.most, maxAnswer)
	answer, err := io.ReadAll(io.LimitReader(response.Body, int64(most)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	case response.StatusCode == http.StatusOK && len(answer) > most:
		return nil, ErrNotADecision
	case response.StatusCode == http.StatusOK:
		return answer, nil
	}
	var refused struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(answer, &refused) // an error means a proxy's page, of which the status is enough
	return nil, &Error{
		Status: response.StatusCode, Type: refused.Type, Title: refused.Title, Reason: refused.Reason,
		RequestID: response.Header.Get(headerRequestID), retryAfter: readRetryAfter(response.Header.Get("Retry-After")),
	}
}
