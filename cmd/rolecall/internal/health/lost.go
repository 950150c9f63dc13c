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
		AlarmLost, fmt.Sprintf("%s from the database since it changed: they were acknowledged from %s to %s",
			TellLost(s.Lost), Instant(s.Lost.First), Instant(s.Lost.Last)),
		advice,
	}, s.Lost.Any()
}

// TellLost says for people what is missing, such as "2 deliveries, 1 command are missing".
func TellLost(l store.Lost) string {
	var parts []string
	for _, p := range []struct {
		n         int64
		one, many string
	}{
		{l.Deliveries, "delivery", "deliveries"},
		{l.Commands, "command", "commands"},
		{l.Entries, "entry of a service in the audit log", "entries of services in the audit log"},
	} {
		switch {
		case p.n == 1:
			parts = append(parts, "1 "+p.one)
		case p.n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.many))
		}
	}
	told, verb := strings.Join(parts, ", "), " are missing"
	if l.Deliveries+l.Commands+l.Entries == 1 {
		verb = " is missing"
	}
	if l.More {
		told = "at least " + told
	}
	return told + verb
}
