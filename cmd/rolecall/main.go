// Command rolecall keeps a Postgres mirror of who belongs to which Clerk organization in which role, and answers from
// it. This package is wiring: it is the only one that knows more than one technology, and holds no rule of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	code := run(ctx, os.Args[1:], streams{out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// streams are where a command writes: answers to out, logs and complaints to err.
type streams struct{ out, err io.Writer }

// cli is the grammar of the command line.
type cli struct {
	Dev        devCommand        `cmd:"" help:"Run everything on this machine: Postgres, a simulated Clerk, the service. Prints what to try."`
	Serve      serveCommand      `cmd:"" help:"Receive webhooks, apply them, answer requests."`
	Deliveries deliveriesCommand `cmd:"" help:"List, show or replay deliveries of the ledger."`
	Migrate    migrateCommand    `cmd:"" help:"Bring the database to the schema that this binary needs."`
	Config     configCommand     `cmd:"" help:"Print the configuration in force, secrets redacted."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// command is what each subcommand does.
type command interface {
	run(ctx context.Context, io streams) error
}

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// run parses the command line, runs the command, and returns the exit code.
func run(ctx context.Context, args []string, io streams) (code int) {
	var grammar cli
	exit := -1
	parser, err := kong.New(&grammar, kong.Name("rolecall"), kong.Writers(io.out, io.err), kong.UsageOnError(),
		kong.Description("Who is in this workspace, in which role, and may they do this?"),
		kong.Exit(func(code int) { exit = code })) // --help wants to exit: it gets to, below
	if err != nil {
		fmt.Fprintln(io.err, "rolecall:", err)
		return exitError
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err != nil {
		fmt.Fprintln(io.err, "rolecall:", err)
		return exitUsage
	}
	selected, ok := reflect.TypeAssert[command](parsed.Selected().Target.Addr())
	if !ok {
		fmt.Fprintln(io.err, "rolecall: command isn't wired:", parsed.Command())
		return exitError
	}
	if err := selected.run(ctx, io); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(io.err, "rolecall:", err)
		return exitError
	}
	return exitOK
}
