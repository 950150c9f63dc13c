package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"text/tabwriter"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/migrations"
)

type serveCommand struct {
	Web     bool `default:"true" negatable:"" help:"Receive webhooks and answer requests."`
	Workers bool `default:"true" negatable:"" help:"Apply deliveries in the background."`
}

func (c *serveCommand) run(ctx context.Context, io streams) error {
	if !c.Web && !c.Workers {
		return errors.New("serve with --no-web and --no-workers would do nothing")
	}
	cfg, err := readConfig()
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // before the start, which one would end otherwise
	defer signal.Stop(hangups)
	logger := slog.New(slog.NewJSONHandler(io.err, &slog.HandlerOptions{Level: cfg.LogLevel}))
	p, err := start(ctx, cfg, parts{web: c.Web, workers: c.Workers}, logger)
	if err != nil {
		return err
	}
	logger.InfoContext(ctx, "serving", "web", p.webAddr, "admin", p.admin, "workers", c.Workers)
	if err = p.wait(ctx, hangups); err == nil {
		logger.InfoContext(ctx, "stopping", "delay", cfg.StopDelay.String())
		err = p.drain()
	}
	return errors.Join(err, p.stop(context.WithoutCancel(ctx)))
}

type migrateCommand struct{}

func (*migrateCommand) run(ctx context.Context, io streams) error {
	cfg, err := readConfig()
	if err != nil {
		return err
	}
	if err := migrate(ctx, cfg.DatabaseURL); err != nil {
		return err
	}
	fmt.Fprintln(io.out, "schema is current")
	return nil
}

// migrate brings the database at a URL to the current schema.
func migrate(ctx context.Context, databaseURL string) error {
	if databaseURL == "" {
		return errors.New("DATABASE_URL is missing: the Postgres to use")
	}
	pool, err := pgxpool.New(ctx, databaseURL)
	if err != nil {
		return errors.New("DATABASE_URL is not a Postgres URL") // the error itself would print the URL
	}
	defer pool.Close()
	return migrations.Up(ctx, pool)
}

type configCommand struct{}

// run prints what is in force, also if it is wrong.
func (*configCommand) run(ctx context.Context, io streams) error {
	cfg, err := readConfig()
	if err != nil {
		return err
	}
	if err := printConfig(io.out, cfg); err != nil {
		return err
	}
	return errors.Join(printPolicy(ctx, io, cfg), cfg.check(parts{web: true, workers: true}))
}

// printPolicy writes the policy as a file could have it, and its warnings beside it.
func printPolicy(ctx context.Context, io streams, cfg config) error {
	policy, err := cfg.policy(ctx)
	if err != nil {
		return err
	}
	for _, warning := range policy.Warnings {
		fmt.Fprintln(io.err, "rolecall: warning:", warning)
	}
	text, err := policy.YAML()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(io.out, "\n# policy, from: %s\n%s", cfg.policySource(), text)
	return err
}

func printConfig(out io.Writer, cfg config) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range cfg.settings() {
		fmt.Fprintf(table, "%s\t%s\n", s.name, s.value)
	}
	return table.Flush()
}

type versionCommand struct{}

func (*versionCommand) run(_ context.Context, io streams) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version + " " + info.GoVersion
	}
	_, err := fmt.Fprintln(io.out, "rolecall", version)
	return err
}
