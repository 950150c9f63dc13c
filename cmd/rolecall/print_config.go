package main

import (
	"context"
	"fmt"
	"io"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
)

type configCommand struct {
	Web     bool `default:"true" negatable:"" help:"Check the needs of a serve with a web side."`
	Workers bool `default:"true" negatable:"" help:"Check the needs of a serve with workers."`
}

// run prints the configuration in force, even a wrong one. Its error names every fault for which
// serve wouldn't start.
func (c *configCommand) run(ctx context.Context, io streams) error {
	cfg, warnings, err := config.ReadServing(ctx, config.Parts{Web: c.Web, Workers: c.Workers})
	if err := printConfig(io.out, cfg); err != nil {
		return err
	}
	if c.Web {
		printPolicy(ctx, io, cfg) // if it can't be read, err says so
	}
	printWarnings(io.err, warnings)
	return err
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

func printConfig(out io.Writer, cfg config.Config) error {
	table := newTable(out)
	for _, s := range cfg.Settings() {
		table.row(s.Name, s.Value)
	}
	return table.print("configuration")
}
