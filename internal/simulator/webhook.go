package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/callmine/rolecall/internal/svixsim"
)

// Outcome is what became of a webhook so far.
type Outcome string

// The outcomes of a webhook. For several endpoints, it is the worst.
const (
	// Waiting: it is delayed, on its way, or waits for its next attempt.
	Waiting Outcome = "waiting"
	// Delivered: each endpoint acknowledged it.
	Delivered Outcome = "delivered"
	// Failed: an endpoint didn't acknowledge it in any attempt.
	Failed Outcome = "failed"
	// Disabled: an endpoint was disabled before it acknowledged it.
	Disabled Outcome = "disabled"
	// Dropped: it was lost, as [Switches.Drop] demanded.
	Dropped Outcome = "dropped"
)

// Webhook is one webhook and what became of it.
type Webhook struct {
	// MessageID is the svix-id.
	MessageID string `json:"message_id"`
	// Type is the event's type, such as "organizationMembership.deleted".
	Type string `json:"type"`
	// ObjectID is the id of the object that the event is about.
	ObjectID string `json:"object_id"`
	// OrganizationID and UserID are whom it concerns, as far as the body says so.
	OrganizationID string `json:"organization_id,omitempty"`
	UserID         string `json:"user_id,omitempty"`
	// HappenedAt is the timestamp in the body.
	HappenedAt time.Time `json:"happened_at"`
	// TakenAt is when Clerk handed it to its sender: the time from which a delay counts.
	TakenAt time.Time `json:"taken_at"`
	// Outcome is what became of it so far.
	Outcome Outcome `json:"outcome"`
	// Attempts are all requests that were made, in the order in which they ended.
	Attempts []Attempt `json:"attempts"`
	// Body is what is sent.
	Body json.RawMessage `json:"body"`
}

// Attempt is one request with a webhook.
type Attempt struct {
	// Endpoint is the index of the endpoint, in the order in which they were added.
	Endpoint int `json:"endpoint"`
	// Number counts the attempts at that endpoint, from 1. A repeat counts on.
	Number int `json:"number"`
	// At is when it began.
	At time.Time `json:"at"`
	// Took is how long the endpoint took to answer.
	Took time.Duration `json:"-"`
	// Status is the answer's status, or 0 if there was none.
	Status int `json:"status"`
	// Error is why there was no answer.
	Error string `json:"error,omitempty"`
}

// MarshalJSON adds the duration in milliseconds.
func (a Attempt) MarshalJSON() ([]byte, error) {
	type fields Attempt
	return json.Marshal(struct { //nolint:wrapcheck // plain values don't fail
		fields
		TookMS float64 `json:"took_ms"`
	}{fields(a), float64(a.Took.Microseconds()) / 1000})
}

// Webhooks returns the last webhooks, up to 500, newest first. It has those of every change that
// was made before the call.
func (s *Simulator) Webhooks() []Webhook {
	s.courier.Pull()
	return s.record.list()
}

// Settle waits until no webhook is delayed, on its way or due for a retry. Without an endpoint it
// returns at once. An error means that ctx ended, or the simulator, and says how many webhooks
// still wait.
func (s *Simulator) Settle(ctx context.Context) error {
	ctx, cancel := s.whileSending(ctx)
	defer cancel()
	for {
		changed := s.Changed()
		waiting := s.unsettled()
		if waiting == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d webhooks still wait: %w", waiting, context.Cause(ctx))
		}
	}
}

func (s *Simulator) unsettled() int {
	s.courier.Pull()
	return s.record.unsettled()
}

// Recover sends again what endpoints missed while they were disabled or failed, as an operator does
// in Svix's dashboard. It returns how many webhooks were acknowledged, and how many are still
// missed. An error means that ctx ended, or the simulator.
func (s *Simulator) Recover(ctx context.Context) (delivered, missed int, err error) {
	ctx, cancel := s.whileSending(ctx)
	defer cancel()
	s.courier.Pull()
	for endpoint := range s.sendsTo() {
		results, err := s.courier.Recover(ctx, endpoint)
		for _, result := range results {
			if result.Outcome == svixsim.Delivered {
				delivered++
			} else {
				missed++
			}
		}
		if err != nil {
			return delivered, missed, fmt.Errorf("recover webhooks: %w", err)
		}
	}
	return delivered, missed, nil
}
