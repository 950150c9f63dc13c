package health

import (
	"time"

	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Snapshot is a situation as `rolecall status --json` prints it. Instants are RFC 3339, ages are in
// seconds; null stands for never and for none.
type Snapshot struct {
	At             time.Time    `json:"at"`
	LastDeliveryAt *time.Time   `json:"last_delivery_at"`
	LastDelivery   *float64     `json:"last_delivery_age_seconds"`
	Waiting        int64        `json:"waiting"`
	OldestWaiting  *float64     `json:"oldest_waiting_seconds"`
	Quarantined    int64        `json:"quarantined"`
	LastSweep      *sweepStatus `json:"last_sweep"` // the newest full one that ended by itself
	LastCleanAt    *time.Time   `json:"last_clean_sweep_at"`
	LastClean      *float64     `json:"last_clean_sweep_age_seconds"`
	SweepRunning   bool         `json:"sweep_running"`
	CurrentSweep   *SweepPlace  `json:"current_sweep"` // under way; if sweep_running is false, interrupted
	Drift          []DriftCount `json:"drift"`         // of all sweeps ever
	// Needing says how many workspaces have each need; null while nothing can be said.
	Needing   map[clerksync.Need]int64 `json:"workspaces_needing_attention"`
	Processes []Process                `json:"processes"` // that run, the oldest first
	// ClerkCalls is how many calls to Clerk all processes together have sent in the last ten
	// seconds, or leased for the next two.
	ClerkCalls int64    `json:"clerk_calls"`
	Alarms     []Alarm  `json:"alarms"`
	Notices    []Notice `json:"notices"` // facts that need no action
}

// sweepStatus is a sweep that ended.
type sweepStatus struct {
	SweepID    string           `json:"sweep_id"`
	Trigger    string           `json:"trigger"`
	State      store.SweepState `json:"state"`
	Reason     string           `json:"reason"`
	StartedAt  time.Time        `json:"started_at"`
	FinishedAt *time.Time       `json:"finished_at"`
	Report     sweep.Report     `json:"report"`
}

// SweepPlace is the progress of a sweep.
type SweepPlace struct {
	SweepID        string             `json:"sweep_id"`
	Trigger        string             `json:"trigger"`
	OrganizationID string             `json:"organization_id,omitempty"` // of a sweep of one
	DryRun         bool               `json:"dry_run"`
	StartedAt      time.Time          `json:"started_at"`
	UpdatedAt      time.Time          `json:"updated_at"` // of the last page or look-up
	Resource       clerksync.Resource `json:"resource"`   // that is being listed, or looked up
	Confirming     bool               `json:"confirming"` // the listing is complete, and differences are looked up
	Listed         int                `json:"listed"`     // objects of all kinds
	OfKind         int                `json:"of_kind"`    // objects of the kind that were listed
	Total          *int               `json:"total"`      // objects of the kind that Clerk has; null if it didn't say
	LookedUp       int                `json:"looked_up"`
}

// DriftCount is how often objects of a kind were found to differ from Clerk.
type DriftCount struct {
	Kind       clerksync.Resource   `json:"kind"`
	Difference clerksync.Difference `json:"difference"`
	Cause      store.DriftCause     `json:"cause"`
	Count      int64                `json:"count"`
}

// SnapshotOf returns a situation as `rolecall status` shows it.
func SnapshotOf(s Situation) (Snapshot, error) {
	shown := Snapshot{
		At: s.At.UTC(), Waiting: s.Waiting, Quarantined: s.Quarantined, SweepRunning: s.SweepRunning,
		Drift: []DriftCount{}, Needing: s.needing(), Processes: s.ShownProcesses(), ClerkCalls: s.ClerkCalls, Alarms: s.Alarms(), Notices: s.notices(),
	}
	shown.LastDeliveryAt, shown.LastDelivery = s.since(s.LastDelivery)
	_, shown.OldestWaiting = s.since(s.OldestWaiting)
	if s.LastClean != nil {
		shown.LastCleanAt, shown.LastClean = s.since(s.LastClean.StartedAt)
	}
	if last := s.LastSweep; last != nil {
		shown.LastSweep = &sweepStatus{
			SweepID: s.report.SweepID, Trigger: last.Trigger, State: last.State, Reason: last.Reason,
			StartedAt: last.StartedAt.UTC(), Report: WithKinds(s.report.WithoutObjects()),
		}
		if last.FinishedAt != nil {
			shown.LastSweep.FinishedAt = new(last.FinishedAt.UTC())
		}
	}
	for _, d := range s.Drift {
		shown.Drift = append(shown.Drift, DriftCount{d.Resource, d.Difference, d.Cause, d.Count})
	}
	var err error
	if s.CurrentSweep != nil {
		shown.CurrentSweep, err = placeOf(*s.CurrentSweep)
	}
	return shown, err
}

// placeOf reads the progress of a sweep.
func placeOf(s store.Sweep) (*SweepPlace, error) {
	progress, err := sweep.ReadProgress(s)
	if err != nil {
		return nil, err
	}
	report, err := sweep.ReadReport(s)
	if err != nil {
		return nil, err
	}
	place := &SweepPlace{
		SweepID: report.SweepID, Trigger: s.Trigger, OrganizationID: s.OrganizationID, DryRun: s.DryRun,
		StartedAt: s.StartedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(), Resource: progress.Resource, Confirming: progress.Confirming,
		Listed: report.Listed, OfKind: progress.Listed, LookedUp: progress.LookedUp,
	}
	if progress.Total >= 0 {
		place.Total = &progress.Total
	}
	return place, nil
}

// WithKinds returns a report whose kinds are an object in JSON, even without differences.
func WithKinds(report sweep.Report) sweep.Report {
	if report.ByKind == nil {
		report.ByKind = map[clerksync.Resource]*sweep.KindOfReport{}
	}
	return report
}
