package main

import (
	"context"
	"fmt"

	"github.com/alecthomas/kong"

	"github.com/callmine/rolecall/cmd/rolecall/internal/buildinfo"
)

type versionCommand struct {
	JSON bool `name:"json" help:"Print a JSON object, for programs."`
}

func (c *versionCommand) run(_ context.Context, io streams) error {
	if c.JSON {
		return printJSON(io.out, buildinfo.Read())
	}
	_, err := fmt.Fprintln(io.out, version())
	return err
}

// versionFlag is --version, which needs no command.
type versionFlag bool

// BeforeReset prints the version before the parser misses a command.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	_, err := fmt.Fprintln(app.Stdout, version())
	app.Exit(exitOK)
	return err
}

// version returns the name of this program and what is known of its build.
func version() string { return "rolecall " + buildinfo.Read().String() }
