package health

import (
	"fmt"
	"strings"

	"github.com/callmine/rolecall/store"
)

// acknowledgedLost: a process remembers what it acknowledged, and the database lacks it. A later
// sweep, which compares all objects with Clerk, ends the alarm.
func (s Situation) acknowledgedLost() (Alarm, bool) {
	advice := "wait for the sweep that began by itself, or run `rolecall reconcile`"
	if s.Lost.Commands+s.Lost.Entries > 0 {
		advice += "; the services whose entries are missing should append them again, and who made a lost change isn't known to the audit log"
	}
	return Alarm{
		AlarmLost, fmt.Sprintf("%s are missing from the database since it changed: they were acknowledged from %s to %s",
			TellLost(s.Lost), Instant(s.Lost.First), Instant(s.Lost.Last)),
		advice,
	}, s.Lost.Any()
}

// TellLost says how much was lost, for people.
func TellLost(l store.Lost) string {
	var parts []string
	for _, p := range []struct {
		n    int64
		what string
	}{{l.Deliveries, "deliveries"}, {l.Commands, "commands"}, {l.Entries, "entries of services in the audit log"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	told := strings.Join(parts, ", ")
	if l.More {
		return "at least " + told
	}
	return told
}
