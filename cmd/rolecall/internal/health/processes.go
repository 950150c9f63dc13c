package health

import (
	"fmt"
	"strings"
	"time"
)

// silentAfter is how long after its last sign of life a process was probably killed. A process
// gives one every ten seconds, and another at its end.
const silentAfter = 35 * time.Second

// Process is a process of `rolecall serve` as `rolecall status` shows it.
type Process struct {
	ID        string    `json:"id"`
	HostName  string    `json:"host_name"`
	PID       int       `json:"pid"`
	Version   string    `json:"version"`
	Web       bool      `json:"web"`     // it accepts webhooks and answers
	Workers   bool      `json:"workers"` // it applies deliveries
	Sweeps    bool      `json:"sweeps"`  // it has workers and Clerk's secret key
	Leads     bool      `json:"leads"`   // it does the upkeep of the queue for all processes
	StartedAt time.Time `json:"started_at"`
	SeenAt    time.Time `json:"seen_at"`
	Up        float64   `json:"up_seconds"`
	Silent    *float64  `json:"silent_seconds"` // null if it gave a sign of life lately; else it probably was killed
	Clerk     *ClerkUse `json:"clerk"`          // null without a secret key
}

// ClerkUse is how much of Clerk's limit a process uses.
type ClerkUse struct {
	Sent   int  `json:"sent"`   // calls of the last ten seconds
	Limit  int  `json:"limit"`  // how many Clerk accepts in that time
	Paused bool `json:"paused"` // sweeps wait, because Clerk has answered 429
}

// ShownProcesses returns the processes that run, the oldest first.
func (s Situation) ShownProcesses() []Process {
	shown := make([]Process, len(s.Processes))
	for i, p := range s.Processes {
		shown[i] = Process{
			ID: p.ID, HostName: p.HostName, PID: p.PID, Version: p.Version, Web: p.Web, Workers: p.Workers, Sweeps: p.Sweeps, Leads: p.Leads,
			StartedAt: p.StartedAt, SeenAt: p.SeenAt, Up: s.Age(p.StartedAt).Seconds(),
		}
		if silent := s.Age(p.SeenAt); silent > silentAfter {
			shown[i].Silent = new(silent.Seconds())
		}
		if p.Clerk != nil {
			shown[i].Clerk = &ClerkUse{Sent: p.Clerk.Sent, Limit: p.Clerk.Limit, Paused: p.Clerk.Paused}
		}
	}
	return shown
}

// Parts names what the process does, in words.
func (p Process) Parts() string {
	var parts []string
	for _, part := range []struct {
		has  bool
		name string
	}{{p.Web, "web"}, {p.Workers, "workers"}, {p.Sweeps, "sweeps"}, {p.Leads, "leader"}} {
		if part.has {
			parts = append(parts, part.name)
		}
	}
	return strings.Join(parts, ", ")
}

// String returns the process in one line for people.
func (p Process) String() string {
	age := "up " + seconds(p.Up)
	if p.Silent != nil {
		age = "silent for " + seconds(*p.Silent) + ": probably killed"
	}
	return fmt.Sprintf("%s, %s (%s), %s", p.ID, p.Version, p.Parts(), age)
}

func seconds(s float64) string { return Seconds(time.Duration(s * float64(time.Second))) }
