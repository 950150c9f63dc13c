//go:build nodev

package main

import (
	"context"
	"errors"
)

func (*simulateCommand) run(context.Context, streams) error {
	return errors.New("this binary was built without simulate, with the tag nodev: build it without the tag, or use `go run ./cmd/rolecall simulate`")
}
