//go:build nodev

package main

import (
	"context"
	"errors"
)

func (*devCommand) run(context.Context, streams) error {
	return errors.New("this binary was built without dev, with the tag nodev: build it without the tag, or use `go run ./cmd/rolecall dev`")
}
