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
)

type serveCommand struct {
	Web     bool `default:"true" negatable:"" help:"Receive webhooks and answer requests."`
	Workers bool `default:"true" negatable:"" help:"Apply deliveries in the background."`
}

func (c *serveCommand) run(ctx context.Context, io streams) error {
	if !c.Web && !c.Workers {
		return errors.New("serve with --no-web and --no-workers would do nothing")
	}
	which := parts{web: c.Web, workers: c.Workers}
	cfg, warnings, err := readServing(ctx, which)
	if err != nil {
		printWarnings(io.err, warnings)
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // before the start, which one would end otherwise
	defer signal.Stop(hangups)
	logger := slog.New(slog.NewJSONHandler(io.err, &slog.HandlerOptions{Level: cfg.LogLevel}))
	for _, warning := range warnings {
		logger.WarnContext(ctx, "settings: "+warning)
	}
	p, err := start(ctx, cfg, which, logger)
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

type configCommand struct {
	Web     bool `default:"true" negatable:"" help:"Check what a serve with a web side needs."`
	Workers bool `default:"true" negatable:"" help:"Check what a serve with workers needs."`
}

// run prints what is in force, also if it is wrong, and fails with everything for which serve
// wouldn't start.
func (c *configCommand) run(ctx context.Context, io streams) error {
	cfg, warnings, err := readServing(ctx, parts{web: c.Web, workers: c.Workers})
	if err := printConfig(io.out, cfg); err != nil {
		return err
	}
	if c.Web {
		printPolicy(ctx, io, cfg) // if it can't be read, err says so
	}
	printWarnings(io.err, warnings)
	return err
}

func printWarnings(out io.Writer, warnings []string) {
	for _, warning := range warnings {
		fmt.Fprintln(out, "rolecall: warning:", line(warning))
	}
}

// printPolicy writes the policy as a file could have it, and its warnings beside it.
func printPolicy(ctx context.Context, io streams, cfg config) {
	policy, err := cfg.policy(ctx)
	if err != nil {
		return
	}
	printWarnings(io.err, policy.Warnings)
	if text, err := policy.YAML(); err == nil {
		fmt.Fprintf(io.out, "\n# policy, from: %s\n%s", line(cfg.policySource()), text)
	}
}

func printConfig(out io.Writer, cfg config) error {
	table := newTable(out)
	for _, s := range cfg.settings() {
		table.row(s.name, s.value)
	}
	return table.print("configuration")
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
