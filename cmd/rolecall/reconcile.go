package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/progress"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// sweepPoll is how often a command checks whether the running sweep has ended.
	sweepPoll = 500 * time.Millisecond
	// forgetBatch is how much of what a sweep listed one statement forgets, so that it locks nothing
	// for long.
	forgetBatch = 1000
)

// reconcileCommand is `rolecall backfill` and `rolecall reconcile`: a backfill is the first sweep.
type reconcileCommand struct {
	Organization string `help:"Only this organization (org_…)."`
	DryRun       bool   `help:"Print each difference and change nothing."`
	Confirm      bool   `help:"Remove memberships beyond the limit of ROLECALL_MAX_REMOVAL_RATIO."`
	TrustClerk   bool   `help:"Let Clerk's answers overrule newer signed events. Signed deletions stay."`
	JSON         bool   `name:"json" help:"Print the report as a JSON object."`
}

func (c *reconcileCommand) run(ctx context.Context, io streams) error {
	if c.Organization != "" && !strings.HasPrefix(c.Organization, "org_") {
		return errors.New("--organization is not the id of an organization: write one that begins with org_")
	}
	cfg, err := config.Read()
	if err != nil {
		return err
	}
	if err := errors.Join(cfg.RequireClerk(), cfg.CheckSweeping()); err != nil {
		return err
	}
	db, err := database.Open(ctx, cfg, "reconcile", database.SweepNeeds())
	if err != nil {
		return err
	}
	defer db.Close()
	display := progress.New(io.err, cfg.LogLevel, cfg.LogHandler(config.LogText))
	clerk, err := cfg.OpenClerk(database.LeaseCalls(db), display.Logger, nil, nil)
	if err != nil {
		return err
	}
	defer clerk.Close()
	sweeper, err := sweep.New(sweep.Config{
		Pool: db.Pool, Clerk: clerk, Billing: clerk.Billing, InstanceID: cfg.InstanceID, MaxRemovalRatio: cfg.MaxRemovalRatio, Logger: display.Logger,
	})
	if err != nil {
		return err
	}
	report, err := sweepWhenFree(ctx, sweeper, c.options(io, display), display)
	display.End()
	concluded := c.conclude(ctx, io.out, report, err)
	if err == nil {
		if err := store.ForgetListed(ctx, db, forgetBatch); err != nil { // the next command does it, or a running service
			display.Logger.WarnContext(ctx, "what the sweep listed isn't forgotten yet", "error", err)
		}
	}
	return concluded
}

func (c *reconcileCommand) options(io streams, display *progress.Display) sweep.Options {
	opts := sweep.Options{
		Trigger: sweep.TriggerCommand, OrganizationID: c.Organization, DryRun: c.DryRun, Confirm: c.Confirm, TrustClerk: c.TrustClerk,
		Progress: display.Show,
	}
	if !c.DryRun {
		return opts
	}
	opts.Found = func(d store.FoundDrift) {
		out := io.out
		if c.JSON { // stdout belongs to the report
			out = io.err
		}
		_, _ = display.WriteLine(out, fmt.Appendf(nil, "%s %s %s (%s)\n", d.Difference, d.Resource, line(d.ID), d.Cause))
	}
	return opts
}

// sweepWhenFree sweeps. It first waits for a sweep that another command or a server runs.
func sweepWhenFree(ctx context.Context, sweeper *sweep.Sweeper, opts sweep.Options, display *progress.Display) (sweep.Report, error) {
	said := false
	for {
		report, err := sweeper.Run(ctx, opts)
		if !errors.Is(err, sweep.ErrRunning) {
			return report, err
		}
		if !said {
			said = true
			fmt.Fprintln(display, "another sweep is running: this one begins after it")
		}
		select {
		case <-ctx.Done():
			return report, fmt.Errorf("wait for the running sweep: %w", ctx.Err())
		case <-time.After(sweepPoll):
		}
	}
}

// conclude prints the report if a sweep began. Its error carries the exit code.
func (c *reconcileCommand) conclude(ctx context.Context, out io.Writer, report sweep.Report, err error) error {
	if report.SweepID != "" || report.Aborted {
		if err := c.print(out, report); err != nil {
			return err
		}
	}
	switch {
	case report.Aborted:
		return &codedError{exitGuard, fmt.Errorf("stopped (%s): %s: %s", report.Reason, line(report.Detail), health.AdviceFor(report.Reason))}
	case err != nil && ctx.Err() != nil:
		return &codedError{exitError, errors.New(c.interruption(report))}
	default:
		return err
	}
}

// interruption says how an interrupted sweep continues.
func (c *reconcileCommand) interruption(report sweep.Report) string {
	switch {
	case report.SweepID == "":
		return "interrupted before the sweep began"
	case c.DryRun || c.Organization != "":
		return "interrupted: the next one starts over"
	default:
		return "interrupted: the next sweep within an hour, by this command or by a serve, resumes where this one stopped"
	}
}

func (c *reconcileCommand) print(out io.Writer, report sweep.Report) error {
	report = health.WithKinds(report)
	if c.JSON {
		return printJSON(out, report)
	}
	table := newTable(out)
	table.row("KIND", "MISSING", "STALE", "EXTRA")
	for _, kind := range clerksync.Resources() {
		if n := report.ByKind[kind]; n != nil {
			table.row(string(kind), strconv.Itoa(n.Missing), strconv.Itoa(n.Stale), strconv.Itoa(n.Extra))
		}
	}
	table.row("all", strconv.Itoa(report.Missing), strconv.Itoa(report.Stale), strconv.Itoa(report.Extra))
	if err := table.print("report"); err != nil {
		return err
	}
	if report.Behind > 0 {
		fmt.Fprintf(out, "%d left alone: Clerk showed them in an older state than signed events did\n", report.Behind)
	}
	repaired := fmt.Sprintf("%d repaired (%d added, %d updated, %d removed)", report.Repaired, report.Added, report.Updated, report.Removed)
	if report.DryRun {
		repaired = "nothing changed (dry run)"
	}
	for _, line := range notCompared(report) {
		fmt.Fprintln(out, line)
	}
	_, err := fmt.Fprintf(out, "%s: %d listed, %s, calls to Clerk: %d, %s\n", report.SweepID, report.Listed, repaired, report.Calls,
		time.Duration(report.DurationMS)*time.Millisecond)
	return err
}

// notCompared returns a line for each list that the sweep didn't compare, and another if Clerk
// Billing may refuse what Rolecall allows.
func notCompared(report sweep.Report) (lines []string) {
	for _, f := range report.Refused {
		lines = append(lines, "not compared: "+f.String())
	}
	if report.Billing.Unmirrored() {
		lines = append(lines, "Clerk Billing is on: an organization's plan may make Clerk refuse what Rolecall allows: see `rolecall status`")
	}
	return lines
}
