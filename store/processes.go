package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// Process is one process that runs `rolecall serve`.
type Process struct {
	ID        string // of this run; River calls the process the same
	HostName  string
	PID       int
	Version   string
	Web       bool      // it accepts webhooks and answers
	Workers   bool      // it applies deliveries
	Sweeps    bool      // it has workers and Clerk's secret key
	StartedAt time.Time // by the database's clock, as SeenAt
	SeenAt    time.Time // of the last sign of life
	Clerk     *ClerkUse // nil without a secret key
	Leads     bool      // it does River's upkeep for all processes
}

// ClerkUse is how much of Clerk's limit a process uses.
type ClerkUse struct {
	Sent   int  // calls of the last ten seconds
	Limit  int  // how many Clerk accepts in that time
	Paused bool // sweeps wait, because Clerk has answered 429
}

// NoteProcess records that a process runs now.
func NoteProcess(ctx context.Context, db DBTX, p Process) error {
	params := dbsqlc.NoteProcessParams{
		ID: p.ID, HostName: scrub(p.HostName), Pid: int32(p.PID), Version: scrub(p.Version), //nolint:gosec // a pid
		Web: p.Web, Workers: p.Workers, Sweeps: p.Sweeps,
	}
	if p.Clerk != nil {
		params.ClerkSent, params.ClerkLimit = new(int32(p.Clerk.Sent)), new(int32(p.Clerk.Limit)) //nolint:gosec // thousands
		params.ClerkPaused = p.Clerk.Paused
	}
	if err := queries().NoteProcess(ctx, db, params); err != nil {
		return fmt.Errorf("note the process: %w", err)
	}
	return nil
}

// ForgetProcess records that a process has ended.
func ForgetProcess(ctx context.Context, db DBTX, id string) error {
	if err := queries().ForgetProcess(ctx, db, id); err != nil {
		return fmt.Errorf("forget the process: %w", err)
	}
	return nil
}

// PruneProcesses forgets the processes that gave no sign of life for a time: they were killed.
func PruneProcesses(ctx context.Context, db DBTX, silent time.Duration) error {
	if err := queries().PruneProcesses(ctx, db, silent.Seconds()); err != nil {
		return fmt.Errorf("prune processes: %w", err)
	}
	return nil
}

// Processes returns the processes that run, the oldest first. A process that was killed stays among
// them until it is pruned.
func Processes(ctx context.Context, db DBTX) ([]Process, error) {
	rows, err := queries().Processes(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	processes := make([]Process, len(rows))
	for i, r := range rows {
		processes[i] = Process{
			ID: r.ID, HostName: r.HostName, PID: int(r.Pid), Version: r.Version, Web: r.Web, Workers: r.Workers, Sweeps: r.Sweeps,
			StartedAt: r.StartedAt.UTC(), SeenAt: r.SeenAt.UTC(), Leads: r.Leads,
		}
		if r.ClerkSent != nil && r.ClerkLimit != nil {
			processes[i].Clerk = &ClerkUse{Sent: int(*r.ClerkSent), Limit: int(*r.ClerkLimit), Paused: r.ClerkPaused}
		}
	}
	return processes, nil
}
