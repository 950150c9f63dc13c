package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
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
