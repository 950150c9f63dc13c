package svixsim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
)

// attemptTimeout is how long Svix waits for an answer.
const attemptTimeout = 15 * time.Second

// maxAnswer is how much of an answer is read, so that its connection can be used again.
const maxAnswer = 64 << 10

// Attempt is one request that a courier made, or tried to.
type Attempt struct {
	// MessageID is the svix-id.
	MessageID string
	// Endpoint is the index of the endpoint.
	Endpoint int
	// Number counts the attempts of one message at one endpoint, from 1. A repeat counts on.
	Number int
	// At is when it began: the svix-timestamp, before its fraction was cut.
	At time.Time
	// Took is how long the answer took, on the clock of [CourierConfig.Now].
	Took time.Duration
	// Status is the answer's status, or 0 if there was none.
	Status int
	// Err is why there was no answer: a refused connection, or 15 seconds without a whole answer.
	Err error

	disable bool // the answer had webhook-delivery: disable
}

// Acknowledged reports whether the endpoint answered 2xx, in time.
func (a Attempt) Acknowledged() bool {
	return a.Err == nil && a.Status >= 200 && a.Status < 300
}

// Outcome is what became of a message.
type Outcome int

// Waiting says that an attempt is still to come. No [Result] has it.
const Waiting Outcome = -1

// The outcomes, from best to worst. For several endpoints, a result has the worst.
const (
	// Delivered: every endpoint acknowledged it.
	Delivered Outcome = iota
	// Failed: an endpoint didn't acknowledge it in any attempt.
	Failed
	// Disabled: an endpoint was disabled before it acknowledged.
	Disabled
	// Dropped: it was never sent, as the faults demanded.
	Dropped
)

// String returns the outcome's name in lower case.
func (o Outcome) String() string {
	names := []string{"waiting", "delivered", "failed", "disabled", "dropped"}
	if o < Waiting || int(o-Waiting) >= len(names) {
		return "outcome(" + strconv.Itoa(int(o)) + ")"
	}
	return names[o-Waiting]
}

// Result is what became of one message.
type Result struct {
	// MessageID is the svix-id.
	MessageID string
	// Outcome sums it up.
	Outcome Outcome
	// Attempts are all requests made, in the order in which they ended.
	Attempts []Attempt
}

// Send sends a message now, once, to each endpoint in turn. It retries nothing: the caller is the
// schedule. A failed endpoint is in the result; the error says only that ctx ended.
func (c *Courier) Send(ctx context.Context, message clerksim.Message) (Result, error) {
	result := Result{MessageID: message.ID}
	for i, r := range c.endpoints() {
		if r.skips(message) {
			result.Outcome = max(result.Outcome, Disabled)
			continue
		}
		attempt := c.attempt(ctx, i, message, 1)
		if err := ctx.Err(); err != nil {
			return result, fmt.Errorf("send message %s: %w", message.ID, err)
		}
		result.Attempts = append(result.Attempts, attempt)
		if !attempt.Acknowledged() {
			result.Outcome = max(result.Outcome, Failed)
		}
	}
	return result, nil
}

// attempt makes one request and reports its result to the courier. The result is meaningless if ctx
// ended.
func (c *Courier) attempt(ctx context.Context, endpoint int, message clerksim.Message, number int) Attempt {
	r := c.receiver(endpoint)
	attempt := Attempt{MessageID: message.ID, Endpoint: endpoint, Number: number, At: c.cfg.Now()}
	c.post(ctx, r, message, &attempt)
	attempt.Took = c.cfg.Now().Sub(attempt.At)
	if ctx.Err() != nil {
		return attempt
	}
	r.note(message, attempt, c.scaled(disableAfter))
	if !attempt.Acknowledged() {
		c.cfg.Logger.InfoContext(ctx, "webhook attempt failed", "svix_id", message.ID, "event_type", message.Type,
			"attempt", number, "status", attempt.Status, "error", attempt.Err)
	}
	c.cfg.Observe(attempt)
	return attempt
}

func (c *Courier) post(ctx context.Context, r *receiver, message clerksim.Message, attempt *Attempt) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	request, err := r.request(ctx, message, attempt.At)
	if err != nil {
		attempt.Err = err
		return
	}
	response, err := c.client.Do(request)
	if err != nil {
		attempt.Err = err
		return
	}
	defer func() { _ = response.Body.Close() }() // it was read as far as needed
	attempt.Status = response.StatusCode
	attempt.disable = response.Header.Get("Webhook-Delivery") == "disable"
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)); err != nil {
		attempt.Err = err
	}
}

// request is a signed webhook, with one signature for each secret.
func (r *receiver) request(ctx context.Context, message clerksim.Message, at time.Time) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(message.Body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	signatures := make([]string, len(r.signers))
	for i, signer := range r.signers {
		if signatures[i], err = signer.Sign(message.ID, at, message.Body); err != nil {
			return nil, fmt.Errorf("sign message: %w", err)
		}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Svix-Webhooks/simulated")
	request.Header.Set("Svix-Id", message.ID)
	request.Header.Set("Svix-Timestamp", strconv.FormatInt(at.Unix(), 10))
	request.Header.Set("Svix-Signature", strings.Join(signatures, " "))
	return request, nil
}
