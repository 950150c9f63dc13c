package svixsim

import (
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	svix "github.com/svix/svix-webhooks/go"

	"github.com/callmine/rolecall/internal/clerksim"
)

// disableAfter is how long every attempt at an endpoint has to fail before Svix disables it.
const disableAfter = 5 * 24 * time.Hour

// Endpoint is where a courier sends messages. While a secret is rotated in Clerk's way, there are
// two with one URL.
type Endpoint struct {
	// URL is where the messages are posted.
	URL string
	// Secrets are one signing secret, or two while they are rotated in Svix's way: then each
	// attempt carries both signatures. They have the form of [NewSecret].
	Secrets []string
}

// receiver is an endpoint and what Svix remembers of it.
type receiver struct {
	url     string
	signers []*svix.Webhook
	lane    *lane

	mu           sync.Mutex
	disabled     bool
	turnedOff    chan struct{} // closed while disabled
	failingSince time.Time     // zero after a success
	missed       missed
}

func newReceiver(endpoint Endpoint) (*receiver, error) {
	target, err := url.Parse(endpoint.URL)
	if err != nil {
		return nil, fmt.Errorf("parse URL: %w", err)
	}
	if target.Scheme != "http" && target.Scheme != "https" || target.Host == "" {
		return nil, fmt.Errorf("invalid URL %q, want an absolute http or https URL", endpoint.URL)
	}
	if len(endpoint.Secrets) == 0 {
		return nil, errors.New("no Secrets")
	}
	r := &receiver{url: endpoint.URL, lane: newLane(), turnedOff: make(chan struct{}), missed: newMissed()}
	for _, secret := range endpoint.Secrets {
		signer, err := svix.NewWebhook(secret)
		if err != nil {
			return nil, fmt.Errorf("read signing secret: %w", err)
		}
		r.signers = append(r.signers, signer)
	}
	return r, nil
}

func (r *receiver) set(disabled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failingSince = time.Time{}
	if disabled {
		r.disable()
	} else if r.disabled {
		r.disabled, r.turnedOff = false, make(chan struct{})
	}
}

// disable must be called with r.mu held.
func (r *receiver) disable() {
	if !r.disabled {
		r.disabled = true
		close(r.turnedOff)
	}
}

func (r *receiver) isDisabled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.disabled
}

func (r *receiver) whenDisabled() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.turnedOff
}

// note remembers how an attempt ended, and disables an endpoint that failed for too long or asked
// for it.
func (r *receiver) note(message clerksim.Message, attempt Attempt, patience time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missed.note(message, attempt.Acknowledged())
	switch {
	case attempt.disable:
		r.disable()
	case attempt.Acknowledged():
		r.failingSince = time.Time{}
	case r.failingSince.IsZero():
		r.failingSince = attempt.At
	case attempt.At.Sub(r.failingSince) >= patience:
		r.disable()
	}
}

// skips reports whether the endpoint is disabled, and remembers the message as missed if so.
func (r *receiver) skips(message clerksim.Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.disabled {
		r.missed.note(message, false)
	}
	return r.disabled
}

// has reports whether the endpoint has acknowledged a message.
func (r *receiver) has(message clerksim.Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.missed.acknowledged[message.ID]
}
