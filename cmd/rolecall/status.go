package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/store"
)

type statusCommand struct {
	JSON bool `name:"json" help:"Print a JSON object."`
}

// run prints the status. An alarm is no failure of the command: its exit code is 0.
func (c *statusCommand) run(ctx context.Context, io streams) error {
	return withDatabase(ctx, func(cfg config.Config, db database.DB) error {
		read, err := store.ReadStatus(ctx, db)
		if err != nil {
			return err
		}
		now, err := health.NewSituation(read, cfg.SweepsEvery())
		if err != nil {
			return err
		}
		shown, err := health.SnapshotOf(now)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(io.out, shown)
		}
		return printStatus(io.out, shown)
	})
}

// printStatus prints a status for people. Alarms come last, next to the prompt.
func printStatus(out io.Writer, s health.Snapshot) error {
	table := newTable(out)
	table.row("last delivery", ago(s.LastDeliveryAt, s.LastDelivery))
	waiting := strconv.FormatInt(s.Waiting, 10)
	if s.OldestWaiting != nil {
		waiting += ", the oldest for " + fromSeconds(*s.OldestWaiting)
	}
	table.row("waiting", waiting)
	table.row("quarantined", strconv.FormatInt(s.Quarantined, 10))
	table.row("last clean sweep", ago(s.LastCleanAt, s.LastClean))
	if last := s.LastSweep; last != nil {
		ended := strings.TrimSpace(string(last.State) + " " + last.Reason)
		table.row("last sweep", fmt.Sprintf("%s, trigger %s: %s", last.SweepID, last.Trigger, ended))
		table.row("", fmt.Sprintf("from %s to %s", health.Instant(last.StartedAt), ago(last.FinishedAt, nil)))
		table.row("", fmt.Sprintf("missing %d, stale %d, extra %d, behind %d, repaired %d, calls %d", last.Report.Missing, last.Report.Stale,
			last.Report.Extra, last.Report.Behind, last.Report.Repaired, last.Report.Calls))
	}
	table.row("sweep now", sweepNow(s))
	for i, d := range s.Drift {
		title := ""
		if i == 0 {
			title = "drift, ever"
		}
		table.row(title, fmt.Sprintf("%d %s %s (%s)", d.Count, d.Kind, d.Difference, d.Cause))
	}
	if len(s.Alarms) == 0 {
		table.row("alarms", "none")
	}
	if err := table.print("status"); err != nil {
		return err
	}
	for _, n := range s.Notices {
		fmt.Fprintf(out, "\nNOTICE %s: %s.\n  %s.\n", n.Name, n.Detail, n.Advice)
	}
	for _, a := range s.Alarms {
		fmt.Fprintf(out, "\nALARM %s: %s.\n  %s.\n", a.Name, line(a.Detail), line(a.Advice))
	}
	return nil
}

func sweepNow(s health.Snapshot) string {
	at := s.CurrentSweep
	switch {
	case at == nil && s.SweepRunning:
		return "about to begin"
	case at == nil:
		return "none"
	}
	doing := fmt.Sprintf("listing %ss, %d objects so far", at.Resource, at.Listed)
	if at.Confirming {
		doing = fmt.Sprintf("looking up differences, %d objects so far", at.LookedUp)
	}
	if !s.SweepRunning {
		return at.SweepID + " was interrupted while " + doing
	}
	return at.SweepID + " is " + doing
}

// ago writes an instant for people and, if given, its age in seconds.
func ago(at *time.Time, age *float64) string {
	switch {
	case at == nil:
		return "never"
	case age == nil:
		return health.Instant(*at)
	default:
		return fmt.Sprintf("%s, %s ago", health.Instant(*at), fromSeconds(*age))
	}
}

func fromSeconds(s float64) string { return health.Seconds(time.Duration(s * float64(time.Second))) }
