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
	JSON  bool `name:"json" help:"Print a JSON object."`
	Check bool `help:"Exit with 1 if there is an alarm, for cron and probes."`
}

// run prints the status. Without --check, an alarm is no failure of the command.
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
			err = printJSON(io.out, shown)
		} else {
			err = printStatus(io.out, shown)
		}
		if err == nil && c.Check && len(shown.Alarms) > 0 {
			return alarmed(shown)
		}
		return err
	})
}

// alarmed returns the error of a check, which names the alarms.
func alarmed(s health.Snapshot) error {
	names := make([]string, len(s.Alarms))
	for i, a := range s.Alarms {
		names[i] = string(a.Name)
	}
	return fmt.Errorf("%s: %s", counted(int64(len(names)), "alarm", "alarms"), strings.Join(names, ", "))
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
	for i, p := range s.Processes {
		title := ""
		if i == 0 {
			title = "processes"
		}
		table.row(title, p.String())
	}
	if len(s.Processes) > 0 {
		table.row("calls to Clerk", fmt.Sprintf("%d of all processes, in 10 s", s.ClerkCalls))
	}
	if len(s.Alarms) == 0 {
		table.row("alarms", "none")
	}
	if err := table.print("status"); err != nil {
		return err
	}
	for _, n := range s.Notices {
		fmt.Fprintf(out, "\n%s\n%s\n", wrap(fmt.Sprintf("NOTICE %s: %s.", n.Name, line(n.Detail)), "  "), wrap("  "+line(n.Advice)+".", "  "))
	}
	for _, a := range s.Alarms {
		fmt.Fprintf(out, "\n%s\n%s\n", wrap(fmt.Sprintf("ALARM %s: %s.", a.Name, line(a.Detail)), "  "), wrap("  "+line(a.Advice)+".", "  "))
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
