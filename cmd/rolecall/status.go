package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type statusCommand struct {
	JSON bool `name:"json" help:"Print a JSON object."`
}

// run prints how things stand. That something is wrong is no failure of the command: its exit code is 0 all the same.
func (c *statusCommand) run(ctx context.Context, io streams) error {
	return withLedger(ctx, func(cfg config, db *pgxpool.Pool) error {
		read, err := store.ReadStatus(ctx, db)
		if err != nil {
			return err
		}
		now, err := newSituation(read, cfg.sweepsEvery())
		if err != nil {
			return err
		}
		shown, err := statusOf(now)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(io.out, shown)
		}
		return shown.print(io.out)
	})
}

// status is a situation as `rolecall status --json` prints it. Instants are RFC 3339, ages are in seconds; null stands for never
// and for none.
type status struct {
	At             time.Time    `json:"at"`
	LastDeliveryAt *time.Time   `json:"last_delivery_at"`
	LastDelivery   *float64     `json:"last_delivery_age_seconds"`
	Waiting        int64        `json:"waiting"`
	OldestWaiting  *float64     `json:"oldest_waiting_seconds"`
	Quarantined    int64        `json:"quarantined"`
	LastSweep      *sweepStatus `json:"last_sweep"` // the newest whole one that ended by itself
	LastCleanAt    *time.Time   `json:"last_clean_sweep_at"`
	LastClean      *float64     `json:"last_clean_sweep_age_seconds"`
	SweepRunning   bool         `json:"sweep_running"`
	CurrentSweep   *sweepPlace  `json:"current_sweep"` // under way or, unless sweep_running, cut off
	Drift          []driftCount `json:"drift"`         // of all sweeps ever
	Alarms         []alarm      `json:"alarms"`
	Notices        []notice     `json:"notices"` // what an operator should know and need not act upon
}

// sweepStatus is a sweep that ended.
type sweepStatus struct {
	SweepID    string           `json:"sweep_id"`
	Trigger    string           `json:"trigger"`
	State      store.SweepState `json:"state"`
	Reason     string           `json:"reason"`
	StartedAt  time.Time        `json:"started_at"`
	FinishedAt *time.Time       `json:"finished_at"`
	Report     jobs.SweepReport `json:"report"`
}

// sweepPlace is how far a sweep has come.
type sweepPlace struct {
	SweepID        string             `json:"sweep_id"`
	Trigger        string             `json:"trigger"`
	OrganizationID string             `json:"organization_id,omitempty"` // of a sweep of one
	DryRun         bool               `json:"dry_run"`
	StartedAt      time.Time          `json:"started_at"`
	UpdatedAt      time.Time          `json:"updated_at"` // of the last page or look-up
	Resource       clerksync.Resource `json:"resource"`   // that is being listed, or looked up
	Confirming     bool               `json:"confirming"` // the listing is complete, and what differs is looked up
	Listed         int                `json:"listed"`     // objects of all kinds
	LookedUp       int                `json:"looked_up"`
}

// driftCount is how often objects of a kind were found to differ from Clerk.
type driftCount struct {
	Kind       clerksync.Resource   `json:"kind"`
	Difference clerksync.Difference `json:"difference"`
	Cause      store.DriftCause     `json:"cause"`
	Count      int64                `json:"count"`
}

func statusOf(s situation) (status, error) {
	shown := status{
		At: s.At.UTC(), Waiting: s.Waiting, Quarantined: s.Quarantined, SweepRunning: s.SweepRunning,
		Drift: []driftCount{}, Alarms: s.alarms(), Notices: s.notices(),
	}
	shown.LastDeliveryAt, shown.LastDelivery = s.since(s.LastDelivery)
	_, shown.OldestWaiting = s.since(s.OldestWaiting)
	if s.LastClean != nil {
		shown.LastCleanAt, shown.LastClean = s.since(s.LastClean.StartedAt)
	}
	if last := s.LastSweep; last != nil {
		shown.LastSweep = &sweepStatus{
			SweepID: s.report.SweepID, Trigger: last.Trigger, State: last.State, Reason: last.Reason,
			StartedAt: last.StartedAt.UTC(), Report: withKinds(s.report),
		}
		if last.FinishedAt != nil {
			shown.LastSweep.FinishedAt = new(last.FinishedAt.UTC())
		}
	}
	for _, d := range s.Drift {
		shown.Drift = append(shown.Drift, driftCount{d.Resource, d.Difference, d.Cause, d.Count})
	}
	var err error
	if s.CurrentSweep != nil {
		shown.CurrentSweep, err = placeOf(*s.CurrentSweep)
	}
	return shown, err
}

// since returns an instant and how many seconds ago it was; nil for never.
func (s situation) since(at time.Time) (*time.Time, *float64) {
	if at.IsZero() {
		return nil, nil
	}
	return new(at.UTC()), new(s.age(at).Seconds())
}

// placeOf reads how far a sweep has come.
func placeOf(s store.Sweep) (*sweepPlace, error) {
	progress, err := jobs.ReadProgress(s)
	if err != nil {
		return nil, err
	}
	var report jobs.SweepReport
	if err := json.Unmarshal(s.Report, &report); err != nil {
		return nil, fmt.Errorf("read report of sweep %d: %w", s.ID, err)
	}
	return &sweepPlace{
		SweepID: s.Name(), Trigger: s.Trigger, OrganizationID: s.OrganizationID, DryRun: s.DryRun,
		StartedAt: s.StartedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(), Resource: progress.Resource, Confirming: progress.Confirming,
		Listed: report.Listed, LookedUp: progress.LookedUp,
	}, nil
}

// print tells people. What needs attention comes last, where they look.
func (s status) print(out io.Writer) error {
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
		table.row("", fmt.Sprintf("from %s to %s", instant(last.StartedAt), ago(last.FinishedAt, nil)))
		table.row("", fmt.Sprintf("missing %d, stale %d, extra %d, behind %d, repaired %d, calls %d", last.Report.Missing, last.Report.Stale,
			last.Report.Extra, last.Report.Behind, last.Report.Repaired, last.Report.Calls))
	}
	table.row("sweep now", s.sweepNow())
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

func (s status) sweepNow() string {
	at := s.CurrentSweep
	switch {
	case at == nil && s.SweepRunning:
		return "about to begin"
	case at == nil:
		return "none"
	}
	doing := fmt.Sprintf("listing %ss, %d objects so far", at.Resource, at.Listed)
	if at.Confirming {
		doing = fmt.Sprintf("looking up what differs, %d objects so far", at.LookedUp)
	}
	if !s.SweepRunning {
		return at.SweepID + " was cut off while " + doing
	}
	return at.SweepID + " is " + doing
}

// ago tells people an instant and, if given, its age in seconds.
func ago(at *time.Time, age *float64) string {
	switch {
	case at == nil:
		return "never"
	case age == nil:
		return instant(*at)
	default:
		return fmt.Sprintf("%s, %s ago", instant(*at), fromSeconds(*age))
	}
}

func fromSeconds(s float64) string { return seconds(time.Duration(s * float64(time.Second))) }
