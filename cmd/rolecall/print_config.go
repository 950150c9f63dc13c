package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/tracing"
)

type configCommand struct {
	Web     bool   `default:"true" negatable:"" help:"Check also what the web side of a serve needs."`
	Workers bool   `default:"true" negatable:"" help:"Check also what the workers of a serve need."`
	Route   string `placeholder:"'GET /PATH'" help:"Print only which route of the policy's route map takes this request."`
}

// run prints the configuration in force, even a wrong one. Its error names every fault for which
// serve wouldn't start.
func (c *configCommand) run(ctx context.Context, io streams) error {
	cfg, warnings, err := config.ReadServing(ctx, config.Parts{Web: c.Web, Workers: c.Workers})
	if c.Route != "" {
		return printRoute(ctx, io, cfg, c.Route)
	}
	if err := printConfig(io.out, cfg); err != nil {
		return err
	}
	if c.Web {
		printPolicy(ctx, io, cfg) // if it can't be read, err says so
	}
	printWarnings(io.err, warnings)
	printTracing(io)
	return err
}

// printTracing prints where traces are sent.
func printTracing(io streams) {
	traces, warnings := tracing.Read(os.Getenv)
	fmt.Fprintf(io.out, "\n# traces: %s\n", line(traces.String()))
	printWarnings(io.err, warnings)
}

func printWarnings(out io.Writer, warnings []string) {
	for _, warning := range warnings {
		fmt.Fprintln(out, "rolecall: warning:", line(warning))
	}
}

// printPolicy prints the policy in the form of a policy file, and its warnings to stderr.
func printPolicy(ctx context.Context, io streams, cfg config.Config) {
	policy, err := cfg.Policy(ctx)
	if err != nil {
		return
	}
	printWarnings(io.err, policy.Warnings)
	if text, err := policy.YAML(); err == nil {
		fmt.Fprintf(io.out, "\n# policy, from: %s\n%s", line(cfg.PolicySource()), text)
	}
}

// printRoute prints which route takes a request, given as method and path, and what it needs.
func printRoute(ctx context.Context, io streams, cfg config.Config, request string) error {
	rules, err := cfg.Policy(ctx)
	if err != nil {
		return err
	}
	method, target, _ := strings.Cut(request, " ")
	written, _, _ := strings.Cut(strings.TrimSpace(target), "?")
	path, err := policy.ReadPath(written)
	switch {
	case !policy.IsMethod(method):
		return fmt.Errorf("--route: %q must be a method in capitals, a blank and a path, such as GET /dashboard", request)
	case err != nil:
		return fmt.Errorf("--route: such a request is refused with 400: %w", err)
	}
	route, workspace := rules.Routes.Find(method, path)
	if route == nil {
		return errors.New("--route: no route takes this request: it is refused with 404")
	}
	fmt.Fprintf(io.out, "%s:%d: %s\n", line(cfg.PolicySource()), route.Line, line(route.String()))
	fmt.Fprintf(io.out, "it needs %s\n", line(route.Needs(workspace)))
	return nil
}

func printConfig(out io.Writer, cfg config.Config) error {
	table := newTable(out)
	for _, s := range append(cfg.Settings(), config.SecretFiles()...) {
		table.row(s.Name, s.Value)
	}
	return table.print("configuration")
}
