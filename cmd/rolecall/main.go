// Command rolecall keeps a Postgres mirror of who belongs to which Clerk organization in which
// role, and answers from it. This package is the command line, with one file for each subcommand.
// Only what is below cmd knows more than one technology.
package main

import (
	"context"
	"os"
	"os/signal"
	"reflect"
	"slices"
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

// cli is the grammar of the command line.
type cli struct {
	Dev        devCommand        `cmd:"" help:"Run everything on this machine: Postgres, a simulated Clerk, the service. Prints what to try."`
	Serve      serveCommand      `cmd:"" help:"Receive webhooks, apply them, answer requests."`
	Backfill   reconcileCommand  `cmd:"" help:"Fill the mirror from Clerk: the first reconcile, after the webhook endpoint is enabled."`
	Reconcile  reconcileCommand  `cmd:"" help:"Compare the mirror with everything that Clerk lists, and repair it. Exit code 3: a guard stopped it."`
	Status     statusCommand     `cmd:"" help:"Show how well the mirror follows Clerk, and what needs attention."`
	Deliveries deliveriesCommand `cmd:"" help:"List, show or replay deliveries of the ledger."`
	Audit      auditCommand      `cmd:"" help:"Verify the audit log."`
	Migrate    migrateCommand    `cmd:"" help:"Bring the database to the schema that this binary needs."`
	Config     configCommand     `cmd:"" help:"Print the configuration in force, secrets redacted, and check it."`
	Doctor     doctorCommand     `cmd:"" help:"Examine everything that serve depends on: settings, Postgres, Clerk, addresses, the mirror. Says what to do."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// run parses the command line, runs the command, and returns the exit code.
func run(ctx context.Context, args []string, io streams) (code int) {
	io, end := printed(io)
	defer end()
	var grammar cli
	exit := -1
	parser, err := kong.New(&grammar, kong.Name("rolecall"), kong.Writers(io.out, io.err), kong.UsageOnError(),
		kong.Description("Who is in this workspace, in which role, and may they do this?"),
		kong.Exit(func(code int) { exit = code })) // of --help: run returns it below
	if err != nil {
		complain(io.err, err.Error())
		return exitError
	}
	if len(args) > 0 && args[0] == "help" { // in general, or for the command that follows
		args = append(slices.Clone(args[1:]), "--help")
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err != nil {
		complain(io.err, err.Error())
		return exitUsage
	}
	selected, ok := reflect.TypeAssert[command](parsed.Selected().Target.Addr())
	if !ok {
		complain(io.err, "command isn't wired: "+parsed.Command())
		return exitError
	}
	err = selected.run(ctx, io)
	code = exitCode(err)
	if code != exitOK {
		complain(io.err, err.Error())
	}
	return code
}
