package clerksim

import (
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	svix "github.com/svix/svix-webhooks/go"
)

// disableAfter is how long every attempt at an endpoint has to fail until Svix disables it.
const disableAfter = 5 * 24 * time.Hour

// Endpoint is where a courier sends messages. During Clerk's way of rotating a secret there are two with one URL.
type Endpoint struct {
	// URL is where the messages are posted.
	URL string
	// Secrets are one signing secret, or two during Svix's way of rotating: then each attempt carries both
	// signatures. They have the form of [NewSecret].
	Secrets []string
}

// receiver is an endpoint and what Svix remembers of it.
type receiver struct {
	url     string
	signers []*svix.Webhook

	mu           sync.Mutex
	disabled     bool
	failingSince time.Time // zero after a success
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
	r := &receiver{url: endpoint.URL}
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
	r.disabled, r.failingSince = disabled, time.Time{}
}

func (r *receiver) isDisabled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.disabled
}

// note remembers how an attempt ended, and disables an endpoint that failed for too long or asked for it.
func (r *receiver) note(attempt Attempt, patience time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case attempt.disable:
		r.disabled = true
	case attempt.Acknowledged():
		r.failingSince = time.Time{}
	case r.failingSince.IsZero():
		r.failingSince = attempt.At
	case attempt.At.Sub(r.failingSince) >= patience:
		r.disabled = true
	}
}
