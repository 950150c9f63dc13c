package console

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func (c *Console) sweepActions() []action {
	return []action{
		{path: "/sweeps/run", do: func(ctx context.Context, v *visit) (string, error) {
			return c.orderSweep(ctx, v, jobs.OrderedSweepArgs{})
		}},
		{path: "/sweeps/dry-run", do: func(ctx context.Context, v *visit) (string, error) {
			return c.orderSweep(ctx, v, jobs.OrderedSweepArgs{DryRun: true})
		}},
		{path: "/sweeps/{number}/confirm", do: c.confirmSweep},
	}
}

// allTarget stands in the audit log for everything that Clerk lists.
const allTarget = "everything"

// orderSweep orders a sweep.
func (c *Console) orderSweep(ctx context.Context, v *visit, order jobs.OrderedSweepArgs) (string, error) {
	order.Operator = v.operator
	what := doing{Action: clerksync.ActionOperatorSwept, Target: allTarget, Data: map[string]any{"dry_run": order.DryRun}}
	if order.ConfirmUpTo > 0 {
		what.Data["confirm_up_to"] = order.ConfirmUpTo
	}
	err := c.change(ctx, v, what, func(ctx context.Context, tx pgx.Tx) error {
		_, err := jobs.OrderSweep(ctx, tx, order)
		return err
	})
	if errors.Is(err, jobs.ErrOrdered) {
		return "", bad("Nothing was ordered: "+err.Error(), "Wait until it has ended: the page of sweeps shows it.")
	}
	if err != nil {
		return "", err
	}
	v.said = "The sweep is ordered. It begins in a moment."
	if order.DryRun {
		v.said = "The dry run is ordered. It begins in a moment, and changes nothing."
	}
	return "/sweeps", nil
}

// confirmSweep orders a sweep that may remove as many memberships as a stopped sweep would have.
// The operator types their number.
func (c *Console) confirmSweep(ctx context.Context, v *visit) (string, error) {
	row, err := store.FindSweep(ctx, c.cfg.Pool, "sweep_"+v.PathValue("number"))
	if err != nil {
		return "", err
	}
	stopped, err := readSweep(row)
	if err != nil {
		return "", err
	}
	if !stopped.Confirmable() {
		return "", bad("There is nothing to confirm", "This sweep wasn't stopped because of removals.")
	}
	last, err := store.LastEndedSweep(ctx, c.cfg.Pool)
	if err != nil {
		return "", err
	}
	if last != nil && last.ID > row.ID {
		return "", bad("A later sweep has ended", "Look at that one: it says what is at stake now.")
	}
	typed, err := strconv.Atoi(strings.ReplaceAll(v.filter("number"), ",", ""))
	if err != nil || typed != stopped.Report.AtStake {
		return "", bad("The number isn't "+number(stopped.Report.AtStake),
			"Type how many memberships the page says are at stake, if they are really gone. Nothing was changed.")
	}
	return c.orderSweep(ctx, v, jobs.OrderedSweepArgs{ConfirmUpTo: typed})
}
