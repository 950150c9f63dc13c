package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/tracing"
)

type serveCommand struct {
	Web     bool `default:"true" negatable:"" help:"Receive webhooks and answer requests."`
	Workers bool `default:"true" negatable:"" help:"Apply deliveries in the background."`
}

const (
	// heapGrowth is how much the heap may grow before garbage is collected, in percent of what
	// lives. The service lives on some 15 MB. With Go's default of 100, collecting took two fifths
	// of the processor time under load. With 400 it takes a tenth, and some 30 MB more.
	heapGrowth = 400
	// usualMemory is how many bytes the process may reach that way. Above it, garbage is collected
	// sooner, so that a flood of callers takes little more than what lives.
	usualMemory = 100 << 20
)

func (c *serveCommand) run(ctx context.Context, io streams) error {
	if !c.Web && !c.Workers {
		return errors.New("serve with --no-web and --no-workers would do nothing")
	}
	which := config.Parts{Web: c.Web, Workers: c.Workers}
	cfg, warnings, err := config.ReadServing(ctx, which)
	if err != nil {
		printWarnings(io.err, warnings)
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // before the start: one would end the process otherwise
	defer signal.Stop(hangups)
	logger := slog.New(cfg.LogHandler(config.LogJSON)(io.err, cfg.LogLevel))
	for _, warning := range warnings {
		logger.WarnContext(ctx, "settings: "+warning)
	}
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(heapGrowth)
		debug.SetMemoryLimit(usualMemory)
	}
	tracing.LogFaults(logger)
	traces, warnings := tracing.Read(os.Getenv)
	for _, warning := range warnings {
		logger.WarnContext(ctx, "settings: "+warning)
	}
	p, err := service.StartWith(ctx, cfg, which, logger, service.Extras{Tracing: traces})
	if err != nil {
		return untilStopped(err)
	}
	logger.InfoContext(ctx, "serving", "web", p.WebAddr, "admin", p.AdminAddr, "workers", c.Workers)
	notifySupervisor(ctx, logger, stateReady)
	err = p.Wait(ctx, hangups)
	if err == nil {
		logger.InfoContext(ctx, "stopping", "delay", cfg.StopDelay.String())
		notifySupervisor(context.WithoutCancel(ctx), logger, stateStopping(cfg.StopDelay+service.StopTimeout))
		err = p.Drain()
	}
	if err = errors.Join(err, p.Stop(context.WithoutCancel(ctx))); err != nil {
		logger.ErrorContext(ctx, "stopped", "error", err)
	} else {
		logger.InfoContext(ctx, "stopped")
	}
	return untilStopped(err)
}
