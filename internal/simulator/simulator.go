package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
)

// streamWebhooks is the stream of randomness that makes the webhook secret.
const streamWebhooks = 6

// Config describes a [Simulator]. Its zero value is usable.
type Config struct {
	// Listen is the address of the Backend API and the control API. Defaults to a free port of
	// 127.0.0.1.
	Listen string
	// Hosts are names in a request's Host that are served beside localhost and addresses, such as a
	// container's name.
	Hosts []string
	// Seed decides every id, key and secret. Defaults to 0.
	Seed uint64
	// World describes the instance. Its Seed is filled in from above; so is its signing key, unless
	// it has one.
	World clerksim.Config
	// Endpoints are where webhooks are sent. [Simulator.SendTo] adds more.
	Endpoints []svixsim.Endpoint
	// WebhookSecret signs the webhooks for endpoints that name no secret. Defaults to one that
	// follows from the seed.
	WebhookSecret string
	// Logger gets a line for each failed attempt, and one if other machines can reach the simulator.
	// Defaults to one that discards.
	Logger *slog.Logger
}

// Simulator is a running simulated Clerk. Make one with [Start]. It is safe for concurrent use.
type Simulator struct {
	cfg     Config
	world   *clerksim.World
	faults  *clerksim.APIFaults
	courier *svixsim.Courier
	server  *clerksim.Server
	changes *changes
	record  *record

	stop  context.CancelFunc // ends the courier
	ended <-chan struct{}    // closed when it has ended

	mu        sync.Mutex
	up        func() // lifts ClerkDown; nil while Clerk is up
	endpoints []svixsim.Endpoint
	cast      Cast
}

// Start starts a simulator, whose world has no users yet. The caller must close it. ctx bounds the
// start only.
func Start(ctx context.Context, cfg Config) (*Simulator, error) {
	s, err := newSimulator(cfg)
	if err != nil {
		return nil, fmt.Errorf("start the simulated Clerk: %w", err)
	}
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop, s.ended = stop, s.courier.Start(sending, s.world)
	started := make(chan struct{}) // a request may come before Listen returns
	handler := s.handler()
	if s.server, err = clerksim.Listen(ctx, cfg.Listen, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		<-started
		handler.ServeHTTP(w, req)
	})); err != nil {
		s.StopSending()
		s.courier.Close()
		return nil, fmt.Errorf("start the simulated Clerk: %w", err)
	}
	close(started)
	if at, _ := netip.ParseAddrPort(strings.TrimPrefix(s.server.URL, "http://")); !at.Addr().IsLoopback() {
		s.cfg.Logger.WarnContext(ctx, "the simulated Clerk is open to other machines: they may do everything with it, and let it send requests",
			"address", at)
	}
	return s, nil
}

func newSimulator(cfg Config) (*Simulator, error) {
	cfg.World.Seed = cfg.Seed
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.WebhookSecret == "" {
		cfg.WebhookSecret = svixsim.NewSecret(rand.New(rand.NewPCG(cfg.Seed, streamWebhooks)))
	}
	if cfg.World.SigningKey == nil {
		key, err := clerksim.SigningKeyFromSeed(cfg.Seed)
		if err != nil {
			return nil, err
		}
		cfg.World.SigningKey = key
	}
	if err := svixsim.CheckSecret(cfg.WebhookSecret); err != nil {
		return nil, err
	}
	world, err := clerksim.New(cfg.World)
	if err != nil {
		return nil, err
	}
	s := &Simulator{cfg: cfg, world: world, faults: clerksim.NewAPIFaults(), changes: newChanges()}
	s.record = newRecord(s.changes)
	if s.courier, err = svixsim.NewCourier(svixsim.CourierConfig{
		Logger: cfg.Logger, Taken: s.record.taken, Observe: s.record.attempted, Progress: s.record.progressed,
	}); err != nil {
		return nil, err
	}
	return s, s.SendTo(cfg.Endpoints...)
}

// Close ends the courier at once, and the server after the requests under way, or when ctx ends. It
// must be called once.
func (s *Simulator) Close(ctx context.Context) error {
	s.StopSending()
	s.courier.Close()
	return s.server.Close(ctx)
}

// StopSending ends the courier at once, before its receivers go away. Webhooks that wait are never
// sent, and nobody waits for them any more. It may be called more than once.
func (s *Simulator) StopSending() {
	s.stop()
	<-s.ended
}

// World returns the instance, for changes that Clerk's pages and dashboard make.
func (s *Simulator) World() *clerksim.World { return s.world }

// URL returns where others reach the simulator: the Backend API is below URL + "/v1", the public
// keys are at URL + "/.well-known/jwks.json". If it listens on all addresses, that is the first of
// [Config.Hosts], or 127.0.0.1.
func (s *Simulator) URL() string {
	for _, everywhere := range []string{"http://[::]:", "http://0.0.0.0:"} {
		if port, ok := strings.CutPrefix(s.server.URL, everywhere); ok {
			return "http://" + net.JoinHostPort(append(slices.Clone(s.cfg.Hosts), "127.0.0.1")[0], port)
		}
	}
	return s.server.URL
}

// WebhookSecret returns the secret that signs the webhooks for endpoints that name none.
func (s *Simulator) WebhookSecret() string { return s.cfg.WebhookSecret }

// SendTo adds endpoints. The first ones get the webhooks of all changes so far, later ones those of
// changes from now on. An endpoint without secrets gets [Simulator.WebhookSecret]. An error names
// an invalid endpoint, and then none is added.
func (s *Simulator) SendTo(endpoints ...svixsim.Endpoint) error {
	for i := range endpoints {
		if len(endpoints[i].Secrets) == 0 {
			endpoints[i].Secrets = []string{s.cfg.WebhookSecret}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.courier.Add(endpoints...); err != nil {
		return fmt.Errorf("send webhooks: %w", err)
	}
	s.endpoints = append(s.endpoints, endpoints...)
	s.changes.note()
	return nil
}

// Populate is the function [Populate] on this simulator's world. The control API and
// [Simulator.Environment] then show the cast.
func (s *Simulator) Populate() (Cast, error) {
	cast, err := Populate(s.world)
	if err != nil {
		return Cast{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cast = cast
	return cast, nil
}

// shownCast is the cast at the start; without one, both lists are empty.
func (s *Simulator) shownCast() Cast {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Cast{Workspaces: append([]Workspace{}, s.cast.Workspaces...), People: append([]Person{}, s.cast.People...)}
}

// Changed returns a channel that is closed at the next change of webhooks, mail, endpoints or
// switches. To miss none, take the channel before you look.
func (s *Simulator) Changed() <-chan struct{} { return s.changes.next() }

// whileSending returns a context that also ends when the courier does.
func (s *Simulator) whileSending(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.ended:
			cancel(errStopped)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// errStopped is why a wait for webhooks was in vain.
var errStopped = errors.New("the simulator has stopped sending")

func (s *Simulator) sendsTo() []svixsim.Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.endpoints)
}
