// Package demo is `rolecall dev`: Postgres, a simulated Clerk with a small world, and the service,
// on this machine.
//
// It guarantees that it never writes into the mirror of a real Clerk. It writes into a database of
// another machine only if it is told to.
package demo

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/cleanup"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
)

// Options are the flags of `rolecall dev`.
type Options struct {
	Listen string // where webhooks and the API listen
	Admin  string // where /healthz, /readyz and /metrics listen
	Remote bool   // whether DATABASE_URL may be on another machine
	Data   string // folder for the database's files; "" for one in the user's cache folder
}

// Run starts Postgres, the simulated Clerk and the service, shows them at work, and runs until ctx
// ends.
func Run(ctx context.Context, o Options, out, errs io.Writer) (err error) {
	if err := loadDotEnv(); err != nil {
		return err
	}
	cfg, err := config.Read()
	if err != nil {
		return err
	}
	for _, warning := range config.OwnStrays(cfg, os.Environ()) { // dev ignores all settings of Clerk
		fmt.Fprintln(errs, "rolecall: warning:", warning)
	}
	policy, err := cfg.Policy(ctx)
	if err != nil {
		return err
	}
	show, err := newShowcase(policy.Grants) // before anything is started
	if err != nil {
		return fmt.Errorf("ROLECALL_POLICY_FILE: %w", err)
	}
	logger := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: logLevel(cfg)}))
	var cleanup cleanup.Stack
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*service.StopTimeout)
		defer cancel()
		err = errors.Join(err, cleanup.Run(ctx))
	}()
	database, err := o.startPostgres(ctx, &cfg, &cleanup, logger, out)
	if err != nil {
		return err
	}
	world, token, err := o.simulate(&cfg)
	if err != nil {
		return err
	}
	simulator, err := clerksim.Listen(ctx, "", world.clerk.Handler())
	if err != nil {
		return fmt.Errorf("start the simulated Clerk: %w", err)
	}
	cleanup.Add("simulator", simulator.Close)
	cfg.JWKSURL, cfg.APIURL = simulator.URL+"/.well-known/jwks.json", simulator.URL+"/v1"
	p, err := service.Start(ctx, cfg, config.Parts{Web: true, Workers: true}, logger)
	if taken, ok := errors.AsType[*net.OpError](err); ok && taken.Op == "listen" { // the error itself names settings that dev ignores
		return fmt.Errorf("%w: choose other addresses with --listen and --admin", taken)
	}
	if err != nil {
		return err
	}
	cleanup.Add("service", p.Stop)
	if err := deliver(ctx, world.clerk, p.WebAddr, cfg.SigningSecrets, &cleanup, logger); err != nil {
		return err
	}
	tour := tour{
		world: world, showcase: show, serviceToken: token,
		web: "http://" + p.WebAddr, admin: "http://" + p.AdminAddr, clerk: simulator.URL, database: database, out: out,
	}
	if err := tour.show(ctx); err != nil {
		return err
	}
	return p.Wait(ctx, nil)
}

// logLevel is the level of dev's log: warnings, unless the setting is given.
func logLevel(cfg config.Config) slog.Level {
	if os.Getenv("ROLECALL_LOG_LEVEL") == "" {
		return slog.LevelWarn // the tour must stay readable
	}
	return cfg.LogLevel
}

// clerkRate is the number of calls per second to the simulated Clerk, which has no limit.
const clerkRate = 100

// simulate creates the simulated Clerk with a small world and a service token, and configures the
// service for them.
func (o Options) simulate(cfg *config.Config) (smallWorld, string, error) {
	// Each run has another seed: with the ids of an earlier run, its deliveries would be repeats.
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return smallWorld{}, "", fmt.Errorf("draw a seed: %w", err)
	}
	n := binary.LittleEndian.Uint64(seed[:])
	clerk, err := clerksim.New(clerksim.Config{Seed: n, InstanceID: fmt.Sprintf("%s%016x", instancePrefix, n)})
	if err != nil {
		return smallWorld{}, "", fmt.Errorf("simulate Clerk: %w", err)
	}
	world, err := newWorld(clerk)
	if err != nil {
		return smallWorld{}, "", fmt.Errorf("make a small world: %w", err)
	}
	token, hash, err := auth.NewServiceToken(rand.Reader)
	if err != nil {
		return smallWorld{}, "", err
	}
	cfg.ListenAddr, cfg.AdminAddr, cfg.StopDelay = o.Listen, o.Admin, 0 // Ctrl-C ends it at once
	cfg.Issuer, cfg.InstanceID = clerk.Issuer(), clerk.InstanceID()
	cfg.AuthorizedParties = []string{clerk.AuthorizedParty()}
	cfg.SecretKey, cfg.ClerkRate = clerk.SecretKey(), clerkRate
	// Each run has its own Clerk: the first sweep removes all people of earlier runs.
	cfg.MaxRemovalRatio = 1
	cfg.SigningSecrets = []string{svixsim.NewSecret(mathrand.New(mathrand.NewPCG(n, n)))} //nolint:gosec // of a simulator on this machine
	cfg.ServiceTokens = "dev:" + hash + "/scopes=authorize+read+commands+audit:append"
	return world, token, nil
}

// deliver sends the world's webhooks to the service while it runs.
func deliver(ctx context.Context, world *clerksim.World, webAddr string, secrets []string, cleanup *cleanup.Stack, logger *slog.Logger) error {
	courier, err := svixsim.NewCourier(svixsim.CourierConfig{
		Endpoints: []svixsim.Endpoint{{URL: "http://" + webAddr + "/webhooks/clerk", Secrets: secrets}}, Logger: logger,
	})
	if err != nil {
		return fmt.Errorf("start the courier: %w", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = courier.Run(ctx, world) // ends with ctx
	}()
	cleanup.Add("courier", func(context.Context) error {
		cancel()
		<-done
		courier.Close()
		return nil
	})
	return nil
}
