// Package demo is `rolecall dev`: Postgres, a simulated Clerk with invented people, the service,
// and a sample product that uses it, on this machine.
//
// It guarantees that it drops only mirrors that are provably of a simulated Clerk, and writes
// invented people into no other one. It uses a database of another machine only if it is told to.
//
// With `--clerk`, it mirrors the developer's own Clerk instance instead ([Own]). It then guarantees
// that it only reads at Clerk, and that each instance has a mirror of its own.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/cmd/rolecall/internal/cleanup"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/pgdev"
	"github.com/callmine/rolecall/internal/simulator"
)

// Options are the flags of `rolecall dev`. An empty address is the usual one, or a free one if that
// is taken.
type Options struct {
	Listen      string // where webhooks and the API listen
	Admin       string // where the console, /healthz, /readyz and /metrics listen
	Playground  string // where the sample product listens: on this machine only
	Simulator   string // where the simulated Clerk listens
	Seed        uint64 // from which ids, keys and secrets follow
	DatabaseURL string // a database to use; "" for DATABASE_URL, or else one on a server of dev's own
	Remote      bool   // whether that database may be on another machine
	Data        string // folder of dev's own server; "" for one in the user's cache folder
	EnvFile     string // where the variables for one's own application are written; "" for nowhere
	Plain       bool   // whether commands to paste are printed, and no feed
}

// Demo is everything that `rolecall dev` runs. Make one with [Start].
type Demo struct {
	Rolecall     string // URL of the API
	Admin        string // URL of the console
	Clerk        string // URL of the simulated Clerk
	Playground   string // URL of the sample product
	ServiceToken string // of a service that may do everything that services may
	DatabaseURL  string
	Simulator    *simulator.Simulator
	Cast         simulator.Cast

	showcase showcase

	adminLacks []string // see [playground.Config]

	server  *pgdev.Server
	data    string // folder of dev's own server; "" for a given database
	files   string // folder of the files that live as long as the demo
	service *service.Service
	feed    feed
	shown   *instruments
	cleanup cleanup.Stack
}

// Start starts everything, with the settings of the environment. It returns when all of it runs and
// the mirror is filled, or with an error and nothing running. The caller closes the demo.
func Start(ctx context.Context, o Options, errs io.Writer) (_ *Demo, err error) {
	cfg, err := config.Read()
	if err != nil {
		return nil, err
	}
	for _, warning := range config.OwnStrays(cfg, withoutOwn(os.Environ())) { // dev ignores all settings of Clerk
		fmt.Fprintln(errs, "rolecall: warning:", warning)
	}
	if o.DatabaseURL != "" {
		useDatabase(&cfg, o.DatabaseURL)
	}
	policy, err := readPolicy(ctx, cfg)
	if err != nil {
		return nil, err
	}
	d := &Demo{}
	if d.showcase, err = newShowcase(policy.Grants); err != nil { // before anything is started
		return nil, fmt.Errorf("ROLECALL_POLICY_FILE: %w", err)
	}
	if d.adminLacks = lacking(policy.Grants); len(d.adminLacks) > 0 {
		fmt.Fprintln(errs, "rolecall: warning: ROLECALL_POLICY_FILE doesn't grant org:admin "+strings.Join(d.adminLacks, ", ")+
			": the playground's pages that ask for it refuse admins, too (is the setting in .env?)")
	}
	defer func() {
		if err != nil {
			err = errors.Join(unlessEnded(ctx, err), d.Close(ctx))
		}
	}()
	return d, d.start(ctx, o, cfg, policy, errs)
}

// start starts everything by the given settings. Each part ends before those that were started
// before it.
func (d *Demo) start(ctx context.Context, o Options, cfg config.Config, policy policy.Policy, errs io.Writer) error {
	logger := slog.New(cfg.LogHandler(config.LogText)(errs, logLevel(cfg)))
	if err := o.refuseOpen(ctx); err != nil {
		return err
	}
	if err := o.refuseTaken(ctx); err != nil {
		return err
	}
	if err := d.makeFolder(); err != nil {
		return err
	}
	if err := d.usePolicy(&cfg, policy); err != nil {
		return err
	}
	fetching := slog.New(cfg.LogHandler(config.LogText)(errs, min(logLevel(cfg), slog.LevelInfo))) // it may take minutes, and says so
	if err := d.startPostgres(ctx, o, &cfg, fetching); err != nil {
		return err
	}
	if err := d.startRolecall(ctx, o, &cfg, logger); err != nil {
		return err
	}
	if err := d.startPlayground(ctx, o, cfg, logger); err != nil {
		return err
	}
	if err := d.awaitReady(ctx); err != nil {
		return err
	}
	if err := d.Simulator.Settle(ctx); err != nil {
		return err
	}
	// The first sweep left alone what webhooks changed while it ran. A visitor's first sweep must
	// find nothing.
	if _, err := d.shown.Sweep(ctx); err != nil {
		return err
	}
	if o.EnvFile == "" {
		return nil
	}
	return d.writeVariables(o.EnvFile)
}

// Close ends everything that Start began, in reverse.
func (d *Demo) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*service.StopTimeout)
	defer cancel()
	return d.cleanup.Run(ctx)
}

// Run starts everything, shows it at work, and runs until ctx ends.
func Run(ctx context.Context, o Options, out, errs io.Writer) (err error) {
	if err := loadDotEnv(); err != nil {
		return err
	}
	d, err := Start(ctx, o, errs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close(ctx)) }()
	if err := d.greet(o, out); err != nil {
		return err
	}
	if !o.Plain {
		d.feed.start(ctx, d.shown.db, out, &d.cleanup)
	}
	err = untilEnd(ctx, d.service, d.server.Done())
	fmt.Fprintln(out, "Stopping.")
	return err
}

// logLevel is the level of dev's log: warnings, unless the setting is given.
func logLevel(cfg config.Config) slog.Level {
	if os.Getenv("ROLECALL_LOG_LEVEL") == "" {
		return slog.LevelWarn // the output must stay readable
	}
	return cfg.LogLevel
}
