//go:build !nodev

package main

import (
	"context"

	"github.com/callmine/rolecall/cmd/rolecall/internal/demo"
)

func (c *devCommand) run(ctx context.Context, io streams) error {
	return demo.Run(ctx, demo.Options{Listen: c.Listen, Admin: c.Admin, Remote: c.Remote, Data: c.Data}, io.out, io.err)
}
