package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
)

type policyCommand struct {
	Test testPolicy `cmd:"" help:"Ask a policy the cases of a file. Exit code 1: a case fails."`
	Diff diffPolicy `cmd:"" help:"Say who gains and who loses what if a policy file replaces the policy in force."`
}

type testPolicy struct {
	Cases  string `arg:"" name:"file" help:"YAML file of the cases: see docs/policy.md."`
	Policy string `placeholder:"FILE" help:"The policy to ask. Without it, that of ROLECALL_POLICY_FILE, else the built-in one."`
	Mirror bool   `help:"Count also the permissions that roles have at Clerk, as the mirror has them. Cases about people always ask the mirror."`
	JSON   bool   `name:"json" help:"Print a JSON object, for programs."`
}

// testedPolicy is the result of a test as the command prints it.
type testedPolicy struct {
	Policy string               `json:"policy"` // its file, or "built-in policy"
	Mirror bool                 `json:"mirror"` // whether the mirror was asked
	Passed int                  `json:"passed"`
	Failed int                  `json:"failed"`
	Cases  []support.CaseResult `json:"cases"`
}

func (c *testPolicy) run(ctx context.Context, io streams) error {
	cases, err := policy.ReadCases(ctx, c.Cases)
	if err != nil {
		return &codedError{exitUsage, err}
	}
	cfg, err := config.Read()
	if err != nil {
		return err
	}
	if c.Policy != "" {
		cfg.PolicyFile = c.Policy
	}
	read, err := cfg.Policy(ctx)
	if err != nil {
		return &codedError{exitUsage, err}
	}
	tested := testedPolicy{Policy: cfg.PolicySource(), Mirror: c.Mirror || support.NeedMirror(cases)}
	var warnings []string
	ask := func(db store.DBTX) (err error) {
		tested.Cases, warnings, err = support.TestPolicy(ctx, db, read, cases)
		return err
	}
	if tested.Mirror {
		err = withDatabase(ctx, func(_ config.Config, db database.DB) error { return db.Snapshot(ctx, ask) })
	} else {
		err = ask(nil)
	}
	if _, wrong := errors.AsType[*support.CaseError](err); wrong {
		return &codedError{exitUsage, err}
	}
	if err != nil {
		return err
	}
	printWarnings(io.err, warnings)
	return tested.print(io.out, c.JSON)
}

// print prints a line for each case that fails, and how many passed. Its error says that some
// failed.
func (t *testedPolicy) print(out io.Writer, asJSON bool) error {
	var failing []support.CaseResult
	for _, r := range t.Cases {
		if r.Passed() {
			t.Passed++
		} else {
			failing = append(failing, r)
		}
	}
	t.Failed = len(failing)
	if asJSON {
		if err := printJSON(out, t); err != nil {
			return err
		}
	} else {
		for _, r := range failing {
			fmt.Fprintln(out, line(failure(r)))
		}
		by := "what the policy grants alone"
		if t.Mirror {
			by = "the policy and the mirror"
		}
		fmt.Fprintf(out, "%s, %d failed: %s, by %s\n", counted(int64(t.Passed), "case passed", "cases passed"), t.Failed, line(t.Policy), by)
	}
	if t.Failed > 0 {
		return errors.New(counted(int64(t.Failed), "case fails", "cases fail"))
	}
	return nil
}

// failure says in a line what a case expects and what is so.
func failure(r support.CaseResult) string {
	who := r.Role
	if who == "" {
		who = r.User + " in " + r.Workspace
	}
	if r.Expected {
		return fmt.Sprintf("%s: %s should be allowed %s, and is refused it: %s", r.Place, who, r.Permission, r.Reason)
	}
	return fmt.Sprintf("%s: %s should be refused %s, and is allowed it", r.Place, who, r.Permission)
}
