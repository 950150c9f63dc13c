package main

import (
	"context"
	"fmt"
	"runtime/debug"
)

type versionCommand struct{}

func (*versionCommand) run(_ context.Context, io streams) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version + " " + info.GoVersion
	}
	_, err := fmt.Fprintln(io.out, "rolecall", version)
	return err
}
