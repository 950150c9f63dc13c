// Command rolecall keeps a Postgres mirror of who belongs to which Clerk organization in which
// role, and answers from it. This package is the command line, with one file for each subcommand.
// Only what is below cmd knows more than one technology.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	os.Exit(run(untilSignal(), os.Args[1:], streams{out: os.Stdout, err: os.Stderr}))
}

// untilSignal returns a context that ends at the first signal to stop. From before that moment, a
// second signal ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	stops := make(chan os.Signal, 1)
	signal.Notify(stops, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stops
		signal.Stop(stops)
		cancel()
	}()
	return ctx
}

// cli is the grammar of the command line.
type cli struct {
	Version versionFlag `name:"version" short:"v" help:"Print the version."`

	Dev      devCommand      `cmd:"" group:"Try it" help:"Run everything on this machine: Postgres, a simulated Clerk, the service, and a sample product to click through."`
	Simulate simulateCommand `cmd:"" group:"Try it" help:"Run only a simulated Clerk, for the tests of other services: API, keys, signed webhooks, faults on demand."`
	Doctor   doctorCommand   `cmd:"" group:"Run it" help:"Examine everything that serve depends on: settings, Postgres, Clerk, addresses, the mirror. Says what to do."`
	Migrate  migrateCommand  `cmd:"" group:"Run it" help:"Bring the database to the schema that this binary needs."`
	Serve    serveCommand    `cmd:"" group:"Run it" help:"Receive webhooks, apply them, answer requests."`
	Probe    probeCommand    `cmd:"" group:"Run it" help:"Ask the serve on this machine whether it should get traffic. Exit code 1: no."`
	Config   configCommand   `cmd:"" group:"Run it" help:"Print the configuration in force, secrets redacted, and check it."`
	Policy   policyCommand   `cmd:"" group:"Run it" help:"Test a policy file, or compare it with the policy in force."`

	Status     statusCommand     `cmd:"" group:"Look after the mirror" help:"Show how well the mirror follows Clerk, and what needs attention."`
	Backfill   reconcileCommand  `cmd:"" group:"Look after the mirror" help:"Fill the mirror from Clerk: the first reconcile, after the webhook endpoint is enabled."`
	Reconcile  reconcileCommand  `cmd:"" group:"Look after the mirror" help:"Compare the mirror with everything that Clerk lists, and repair it. Exit code 3: a guard stopped it."`
	Deliveries deliveriesCommand `cmd:"" group:"Look after the mirror" help:"List, show or replay deliveries of the ledger."`
	Erase      eraseCommand      `cmd:"" group:"Look after the mirror" help:"Erase a person on request: names, addresses and bodies go; ids and the chains of the audit log stay."`

	Why          whyCommand          `cmd:"" group:"Answer support's questions" help:"Say why a person may do something in a workspace, or not, and what would change that."`
	Workspaces   workspacesCommand   `cmd:"" group:"Answer support's questions" help:"List workspaces, with their members and admins; or those that need attention."`
	Members      membersCommand      `cmd:"" group:"Answer support's questions" help:"List the members of a workspace: role, since when, invited by whom."`
	User         userCommand         `cmd:"" group:"Answer support's questions" help:"Show a user: workspaces, roles, bans, ended sessions, recent audit entries."`
	AccessReview accessReviewCommand `cmd:"" group:"Answer support's questions" help:"List who had which role in which workspace, now or at an instant in the past, from the audit log."`
	Audit        auditCommand        `cmd:"" group:"Answer support's questions" help:"List the entries of the audit log, or verify it."`
	Changes      changesCommand      `cmd:"" group:"Answer support's questions" help:"List the changes of the feed that other services follow, the oldest first, or follow them."`

	Completion  completionCommand `cmd:"" group:"About the program" help:"Print a script that lets a shell complete commands and flags."`
	Man         manCommand        `cmd:"" group:"About the program" help:"Print the manual page rolecall(1)."`
	VersionToo  versionCommand    `cmd:"" name:"version" group:"About the program" help:"Print the version."`
	Completions completeCommand   `cmd:"" name:"__complete" hidden:""`
}

// newParser returns the parser of a grammar. Its help goes to the given stream, and calls exit.
func newParser(grammar *cli, to io.Writer, exit func(int)) (*kong.Kong, error) {
	return kong.New(grammar, kong.Name("rolecall"), kong.Writers(to, to), kong.Exit(exit), //
		kong.Description("Who is in this workspace, in which role, and may they do this?"),
		kong.ConfigureHelp(kong.HelpOptions{NoExpandSubcommands: true, WrapUpperBound: usualWidth}))
}

// run parses the command line, runs the command, and returns the exit code.
func run(ctx context.Context, args []string, io streams) (code int) {
	io, end := printed(io)
	defer end()
	var grammar cli
	exit := -1 // help and version call for an exit
	parser, err := newParser(&grammar, io.out, func(code int) { exit = code })
	if err != nil {
		complain(io.err, err.Error())
		return exitError
	}
	if len(args) > 0 && args[0] == "help" { // in general, or for the command that follows
		args = append(slices.Clone(args[1:]), "--help")
	}
	if halfway(parser.Model.Node, args) {
		_, err := parser.Parse(append(slices.Clone(args), "--help"))
		if exit < 0 {
			complain(io.err, err.Error())
		}
		return exitUsage
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err != nil {
		complain(io.err, explained(err, parser.Model.Node, args))
		return exitUsage
	}
	selected, ok := reflect.TypeAssert[command](parsed.Selected().Target.Addr())
	if !ok {
		complain(io.err, "command isn't wired: "+parsed.Command())
		return exitError
	}
	err = asUsage(io.err, selected.run(ctx, io))
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted: %w", err)
	}
	code = exitCode(err)
	if code != exitOK {
		complain(io.err, err.Error())
	}
	return code
}
