package health

import (
	"fmt"
	"strings"
	"time"
)

// replicaAwayAfter is how long no answer of a replica may count. A failover takes less.
const replicaAwayAfter = time.Minute

// Replica is a replica as the process sees it that reads from it.
type Replica struct {
	Name  string // host and port
	State string // "answered", or why it can't answer
	Cause string // in words; "" if the state says all
	// Away is how long it couldn't answer; 0 if it can.
	Away     time.Duration
	Behind   *time.Duration // how far; nil if that isn't known
	Answered int64          // questions that it has answered since the process began
	Left     []Left         // those that it was to answer and didn't
}

// Left is how many questions a replica left to other servers, and why: an outcome such as "behind".
type Left struct {
	Why       string
	Questions int64
}

// replicasAway: others answer what replicas were to answer, or nobody does. Only the process that
// reads from them knows of it.
func (s Situation) replicasAway() (Alarm, bool) {
	var away, cures []string
	for _, r := range s.Replicas {
		if r.Away < replicaAwayAfter {
			continue
		}
		detail := fmt.Sprintf("%s couldn't answer for %s: %s", r.Name, Seconds(r.Away), r.State)
		if r.Cause != "" {
			detail += " (" + r.Cause + ")"
		}
		away, cures = append(away, detail), append(cures, r.Name+": "+replicaCure(r.State))
	}
	return Alarm{
		AlarmReplicas, "replicas don't answer: " + strings.Join(away, "; "), strings.Join(cures, "; "),
	}, len(away) > 0
}

// replicaCure says what to do about a replica that can't answer.
func replicaCure(state string) string {
	switch state {
	case "behind":
		return "find out why it replays late: a long query that holds replay up, a slow disk or network; or raise ROLECALL_REPLICA_MAX_LAG"
	case "other_history":
		return "let it follow the new primary, or make it anew"
	case "not_in_recovery":
		return "it was promoted: make it a standby again, or take it out of ROLECALL_REPLICA_DATABASE_URLS"
	case "refused":
		return "name a streaming replica of the primary itself, without a pooler between"
	case "primary_unheard":
		return "the primary takes no pulse: see to it that it can be written to"
	default:
		return "see whether it runs, takes connections of this role, and has the present schema"
	}
}
