//go:build !nodev

package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/callmine/rolecall/cmd/rolecall/internal/demo"
)

// usualSeed is the default of --seed.
const usualSeed = 1

func (c *devCommand) run(ctx context.Context, io streams) error {
	ctx, end := inOrder(ctx)
	defer end()
	if c.Clerk {
		if c.Seed != usualSeed {
			return usageError("--clerk and --seed can't be used together")
		}
		err := demo.RunOwn(ctx, demo.OwnOptions{Listen: c.Listen, Admin: c.Admin, Data: c.Data}, io.out, io.err)
		if _, ok := errors.AsType[demo.SettingError](err); ok {
			return &codedError{exitUsage, err}
		}
		return untilStopped(err)
	}
	options := demo.Options{
		Listen: c.Listen, Admin: c.Admin, Playground: c.Playground, Simulator: c.Simulator, Seed: c.Seed,
		Remote: c.Remote, Data: c.Data, EnvFile: c.EnvFile, Plain: c.Plain,
	}
	return untilStopped(demo.Run(ctx, options, io.out, io.err))
}

// inOrder lets dev end in order, without leaving files behind, also if its terminal goes away. The
// returned context ends at SIGHUP and SIGQUIT, too. Until end is called, a write to a reader who
// has gone is an error like any other, and doesn't end the process: at Ctrl-C, tee ends before dev
// does.
func inOrder(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	broken := make(chan os.Signal, 1) // only to catch it
	signal.Notify(broken, syscall.SIGPIPE)
	return ctx, func() {
		signal.Stop(broken)
		cancel()
	}
}
