package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
)

// alarmName names what needs somebody's attention. The values are metrics' labels and parts of `rolecall status --json`.
type alarmName string

// The alarms. README's "Operate it" says what each means and what to do.
const (
	alarmNeverSwept  alarmName = "never_swept"
	alarmOverdue     alarmName = "sweep_overdue"
	alarmAborted     alarmName = "sweep_aborted"
	alarmSilent      alarmName = "endpoint_silent"
	alarmStuck       alarmName = "deliveries_stuck"
	alarmQuarantined alarmName = "deliveries_quarantined"
	alarmDatabase    alarmName = "database_changed"
)

func alarmNames() []alarmName {
	return []alarmName{alarmNeverSwept, alarmOverdue, alarmAborted, alarmSilent, alarmStuck, alarmQuarantined, alarmDatabase}
}

const (
	// overdueAfter is how many intervals a clean sweep may be old: one may be missed, and the next one takes its time.
	overdueAfter = 2.5
	// stuckAfter is how long a delivery may wait. Applying takes milliseconds, and taking over from a process that died
	// 20 seconds.
	stuckAfter = 30 * time.Second
)

// alarm is one thing that needs somebody's attention.
type alarm struct {
	Name   alarmName `json:"name"`
	Detail string    `json:"detail"` // what is the case
	Advice string    `json:"advice"` // what to do
}

// situation is what alarms are computed from.
type situation struct {
	store.Status

	report      jobs.SweepReport // of LastSweep
	sweepsEvery time.Duration    // 0 if the mirror isn't compared by itself
}

// newSituation reads a status as a process with this configuration sees it.
func newSituation(s store.Status, sweepsEvery time.Duration) (situation, error) {
	now := situation{Status: s, sweepsEvery: sweepsEvery}
	if s.LastSweep != nil {
		if err := json.Unmarshal(s.LastSweep.Report, &now.report); err != nil {
			return now, fmt.Errorf("read report of sweep %d: %w", s.LastSweep.ID, err)
		}
	}
	return now, nil
}

// age returns how long ago an instant was. A clock that is ahead of the database's makes nothing younger than now.
func (s situation) age(at time.Time) time.Duration { return max(0, s.At.Sub(at)) }

// alarms returns what needs attention now, in the order of [alarmNames].
func (s situation) alarms() []alarm {
	found := []alarm{} // in JSON a list, also without any
	for _, check := range []func() (alarm, bool){s.neverSwept, s.overdue, s.aborted, s.silent, s.stuck, s.quarantined, s.databaseChanged} {
		if a, ok := check(); ok {
			found = append(found, a)
		}
	}
	return found
}

// has reports whether an alarm is among others.
func has(alarms []alarm, name alarmName) bool {
	return slices.ContainsFunc(alarms, func(a alarm) bool { return a.Name == name })
}

func (s situation) neverSwept() (alarm, bool) {
	advice := "set CLERK_SECRET_KEY, and run `rolecall backfill`"
	if s.sweepsEvery > 0 {
		advice = "wait for the sweep that begins with `rolecall serve`, or run `rolecall backfill`"
	}
	return alarm{
		alarmNeverSwept, "the mirror has never been compared with Clerk: what happened before the webhooks isn't known", advice,
	}, s.LastClean == nil
}

func (s situation) overdue() (alarm, bool) {
	if s.LastClean == nil || s.sweepsEvery <= 0 {
		return alarm{}, false
	}
	age := s.age(s.LastClean.StartedAt)
	return alarm{
		alarmOverdue, fmt.Sprintf("the mirror was last equal to Clerk %s ago, and is compared every %s", seconds(age), s.sweepsEvery),
		"see that a process with workers is up and reaches Clerk: its log says why a sweep ended",
	}, age > time.Duration(overdueAfter*float64(s.sweepsEvery))
}

func (s situation) aborted() (alarm, bool) {
	if s.LastSweep == nil || s.LastSweep.State != store.SweepAborted {
		return alarm{}, false
	}
	detail := fmt.Sprintf("sweep_%d was stopped: %s", s.LastSweep.ID, s.LastSweep.Reason)
	if s.report.Detail != "" {
		detail += ": " + s.report.Detail
	}
	return alarm{alarmAborted, detail, adviceFor(jobs.GuardReason(s.LastSweep.Reason))}, true
}

// silent: sweeps found a change that no delivery told, and after which none came. Where no delivery ever came, what happened
// before the first sweep that went through proves nothing: it may be older than the endpoint.
func (s situation) silent() (alarm, bool) {
	at := s.report.NewestDrift
	if at == nil || !at.After(s.LastDelivery) {
		return alarm{}, false
	}
	if s.LastDelivery.IsZero() && (s.FirstClean == nil || !at.After(s.FirstClean.StartedAt)) {
		return alarm{}, false
	}
	last := "none ever came"
	if !s.LastDelivery.IsZero() {
		last = "the newest came at " + instant(s.LastDelivery)
	}
	return alarm{
		alarmSilent, fmt.Sprintf("something changed at Clerk at %s and no delivery told of it: %s", instant(*at), last),
		"the webhook endpoint is probably disabled: look at it in Clerk's dashboard, enable it, and replay what failed there",
	}, true
}

func (s situation) stuck() (alarm, bool) {
	age := s.age(s.OldestWaiting)
	return alarm{
		alarmStuck, fmt.Sprintf("%d deliveries wait to be applied, the oldest for %s", s.Waiting, seconds(age)),
		"see that a process with workers is up (`rolecall serve` without --no-workers); its log says why applying fails",
	}, !s.OldestWaiting.IsZero() && age > stuckAfter
}

func (s situation) quarantined() (alarm, bool) {
	return alarm{
		alarmQuarantined, fmt.Sprintf("%d deliveries are set aside: they can't be applied, or are of another instance", s.Quarantined),
		"`rolecall deliveries list --state quarantined` says why; correct the setting or upgrade, then `rolecall deliveries replay`",
	}, s.Quarantined > 0
}

// adviceFor says what to do after a guard stopped a sweep.
func adviceFor(reason jobs.GuardReason) string {
	switch reason {
	case jobs.ReasonRemovalRatio:
		return "if so many really left, run `rolecall reconcile --confirm`; if not, find out in Clerk's dashboard what is missing"
	case jobs.ReasonListingIncomplete:
		return "nothing was removed because of it; run it again, and if it stays so, look at Clerk's status page and the log"
	case jobs.ReasonWrongInstance:
		return "check CLERK_SECRET_KEY, CLERK_INSTANCE_ID and DATABASE_URL: one of them is of another environment"
	case jobs.ReasonUnauthorized:
		return "take a secret key of this instance from Clerk's dashboard"
	case jobs.ReasonBudget:
		return "run it again later: it goes on; if it stays so, your application uses up Clerk's limit, or lower ROLECALL_CLERK_RATE"
	default:
		return "the log says which objects from Clerk can't be read; upgrade Rolecall"
	}
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// seconds tells people a duration, without what is below a second.
func seconds(d time.Duration) string { return d.Round(time.Second).String() }
