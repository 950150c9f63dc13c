//go:build !nodev

package main

import (
	"context"
	"errors"

	"github.com/callmine/rolecall/cmd/rolecall/internal/demo"
)

// usualSeed is the default of --seed.
const usualSeed = 1

func (c *devCommand) run(ctx context.Context, io streams) error {
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
