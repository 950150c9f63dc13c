//go:build !nodev

package main

import (
	"context"

	"github.com/callmine/rolecall/cmd/rolecall/internal/simulate"
)

func (c *simulateCommand) run(ctx context.Context, io streams) error {
	options := simulate.Options{
		Listen: c.Listen, Hosts: c.Host, Seed: c.Seed, World: c.World, WebhookSecret: c.WebhookSecret,
		Issuer: string(c.Issuer), AuthorizedParty: string(c.AuthorizedParty), EnvFile: c.EnvFile,
	}
	for _, url := range c.WebhooksTo {
		options.WebhooksTo = append(options.WebhooksTo, string(url))
	}
	return untilStopped(simulate.Run(ctx, options, io.out, io.err))
}
