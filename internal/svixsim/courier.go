package svixsim

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
)

// liveAttempts is how many attempts [Courier.Run] makes at one time.
const liveAttempts = 16

// Courier sends messages as Svix does: signed, over HTTP, at least once, and again until the
// endpoint answers 2xx. Make one with [NewCourier]. It is safe for concurrent use.
type Courier struct {
	cfg        CourierConfig
	client     *http.Client
	ownClient  bool
	inParallel chan struct{}
	underWay   sync.WaitGroup // the goroutines of Run

	mu        sync.Mutex
	receivers []*receiver        // only grows
	unsent    []clerksim.Message // taken over before there was an endpoint
	faults    LiveFaults
	world     *clerksim.World    // nil while Run doesn't run
	open      func(endpoint int) // begins to send what comes into an endpoint's lane; needs mu
}

// NewCourier makes a courier. An error names each invalid field of cfg, and each invalid endpoint.
func NewCourier(cfg CourierConfig) (*Courier, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configure courier: %w", err)
	}
	c := &Courier{cfg: cfg, inParallel: make(chan struct{}, liveAttempts)}
	if err := c.Add(cfg.Endpoints...); err != nil {
		return nil, err
	}
	if cfg.Transport == nil {
		c.cfg.Transport = &http.Transport{MaxIdleConnsPerHost: liveAttempts}
		c.ownClient = true
	}
	c.client = &http.Client{
		Transport: c.cfg.Transport,
		// To Svix a redirect is a failure like any other status that isn't 2xx.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close ends the idle connections of the courier's own transport. No send may be under way.
func (c *Courier) Close() {
	if c.ownClient {
		c.client.CloseIdleConnections()
	}
}

// Disable disables an endpoint, by its index: it gets no more messages, as Svix does silently after
// five days of failures.
func (c *Courier) Disable(endpoint int) { c.receiver(endpoint).set(true) }

// Enable enables a disabled endpoint, by its index. Messages that it missed stay missed until
// [Courier.Recover].
func (c *Courier) Enable(endpoint int) { c.receiver(endpoint).set(false) }

// Disabled reports whether an endpoint, by its index, is disabled.
func (c *Courier) Disabled(endpoint int) bool { return c.receiver(endpoint).isDisabled() }

// TurnedOff returns a channel that is closed once an endpoint, by its index, is disabled: at once
// if it is already. After an Enable, ask again.
func (c *Courier) TurnedOff(endpoint int) <-chan struct{} {
	return c.receiver(endpoint).whenDisabled()
}

// endpoints returns the receivers, which aren't changed.
func (c *Courier) endpoints() []*receiver {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.receivers
}

func (c *Courier) receiver(endpoint int) *receiver { return c.endpoints()[endpoint] }

// wait waits on the courier's clock.
func (c *Courier) wait(ctx context.Context, wait time.Duration) error {
	return c.cfg.Wait(ctx, c.scaled(wait))
}

func (c *Courier) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / c.cfg.Speed)
}
