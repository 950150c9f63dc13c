package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
)

const (
	// overdueAfter is the greatest age of the last clean sweep, in intervals: one sweep may be
	// missed, and the next takes its time.
	overdueAfter = 2.5
	// stuckAfter is how long a delivery may wait. Applying takes milliseconds. Taking over from a
	// process that died takes 20 seconds.
	stuckAfter = 30 * time.Second
	// noWebhookAfter is how long a filled mirror may be without any delivery: time to set the
	// endpoint up after the first sweep.
	noWebhookAfter = 15 * time.Minute
)

// Alarms returns what needs attention now, in the order of [AlarmNames].
func (s Situation) Alarms() []Alarm {
	found := []Alarm{} // in JSON a list, also without any
	for _, check := range []func() (Alarm, bool){
		s.neverSwept, s.overdue, s.aborted, s.behind, s.rolesRefused, s.silent, s.noWebhook, s.stuck, s.quarantined, s.paused,
		s.databaseChanged, s.acknowledgedLost,
	} {
		if a, ok := check(); ok {
			found = append(found, a)
		}
	}
	return append(found, s.ownAlarms()...)
}

// ownAlarms returns the alarms that a process knows of itself.
func (s Situation) ownAlarms() (found []Alarm) {
	for _, check := range []func() (Alarm, bool){s.lockedOut, s.policyRefused, s.replicasAway} {
		if a, ok := check(); ok {
			found = append(found, a)
		}
	}
	return found
}

func (s Situation) neverSwept() (Alarm, bool) {
	advice := "set CLERK_SECRET_KEY, and run `rolecall backfill`"
	if s.sweepsEvery > 0 {
		advice = "wait for the sweep that begins with `rolecall serve`, or run `rolecall backfill`"
	}
	return Alarm{
		AlarmNeverSwept, "the mirror has never been compared with Clerk: changes before the first webhook are unknown", advice,
	}, s.LastClean == nil
}

func (s Situation) overdue() (Alarm, bool) {
	if s.LastClean == nil || s.sweepsEvery <= 0 {
		return Alarm{}, false
	}
	age := s.Age(s.LastClean.StartedAt)
	return Alarm{
		AlarmOverdue, fmt.Sprintf("the mirror was last equal to Clerk %s ago, and is compared every %s", Seconds(age), s.sweepsEvery),
		"check that a process with workers is up and reaches Clerk: its log says why a sweep ended",
	}, age > time.Duration(overdueAfter*float64(s.sweepsEvery))
}

func (s Situation) aborted() (Alarm, bool) {
	if s.LastSweep == nil || s.LastSweep.State != store.SweepAborted || s.LastSweep.Reason == store.ReasonReadsBehind {
		return Alarm{}, false
	}
	detail := fmt.Sprintf("%s was stopped: %s", s.LastSweep.Name(), s.LastSweep.Reason)
	if s.report.Detail != "" {
		detail += ": " + s.report.Detail
	}
	return Alarm{AlarmAborted, detail, AdviceFor(sweep.GuardReason(s.LastSweep.Reason))}, true
}

// behind: Clerk answered the newest sweep in an older state than signed events show.
func (s Situation) behind() (Alarm, bool) {
	if s.LastSweep == nil || s.LastSweep.Reason != store.ReasonReadsBehind {
		return Alarm{}, false
	}
	return Alarm{
		AlarmBehind, fmt.Sprintf("Clerk's reads lag: to %s, Clerk showed %s in an older state than signed events did; the sweep changed nothing there",
			s.LastSweep.Name(), several(int64(s.report.Behind), "object", "objects")),
		AdviceFor(sweep.ReasonReadsBehind),
	}, true
}

// silent: sweeps found a change that no delivery reported, and no delivery came after it. If none
// ever came, a change before the first complete sweep proves nothing: it may be older than the
// endpoint.
func (s Situation) silent() (Alarm, bool) {
	at := s.report.NewestDrift
	if at == nil || !at.After(s.LastDelivery) {
		return Alarm{}, false
	}
	if s.LastDelivery.IsZero() && (s.FirstClean == nil || !at.After(s.FirstClean.StartedAt)) {
		return Alarm{}, false
	}
	last := "none ever came"
	if !s.LastDelivery.IsZero() {
		last = "the newest came at " + Instant(s.LastDelivery)
	}
	return Alarm{
		AlarmSilent, fmt.Sprintf("an object changed at Clerk at %s, and no delivery reported it: %s", Instant(*at), last),
		"the webhook endpoint is probably disabled: look at it in Clerk's dashboard, enable it, and replay the failed messages there",
	}, true
}

// noWebhook: the mirror is filled, and no webhook ever reached it. A silent endpoint has its own
// alarm.
func (s Situation) noWebhook() (Alarm, bool) {
	if _, silent := s.silent(); silent || s.FirstClean == nil || !s.LastDelivery.IsZero() {
		return Alarm{}, false
	}
	age := s.Age(s.FirstClean.StartedAt)
	return Alarm{
		AlarmNoWebhook, fmt.Sprintf("no webhook has ever come, and the mirror was filled %s ago: only sweeps keep it up to date", Seconds(age)),
		"look at the webhook endpoint in Clerk's dashboard: its URL, that it is enabled, and its events; then change something at Clerk, such as a user's name",
	}, age > noWebhookAfter
}

func (s Situation) stuck() (Alarm, bool) {
	age := s.Age(s.OldestWaiting)
	return Alarm{
		AlarmStuck, fmt.Sprintf("%s to be applied, the oldest for %s", several(s.Waiting, "delivery waits", "deliveries wait"), Seconds(age)),
		"check that a process with workers is up (`rolecall serve` without --no-workers); its log says why applying fails",
	}, !s.OldestWaiting.IsZero() && age > stuckAfter
}

func (s Situation) quarantined() (Alarm, bool) {
	return Alarm{
		AlarmQuarantined, several(s.Quarantined, "delivery is quarantined: it can't be applied, or is of another instance",
			"deliveries are quarantined: they can't be applied, or are of another instance"),
		"`rolecall deliveries list --state quarantined` says why; correct the setting or upgrade, then `rolecall deliveries replay`",
	}, s.Quarantined > 0
}

// paused: no job of a paused queue runs. The alarm comes at once, before a delivery waits for long.
func (s Situation) paused() (Alarm, bool) {
	return Alarm{
		AlarmPaused, "queues of jobs are paused: " + strings.Join(s.PausedQueues, ", ") + effectOf(s.PausedQueues),
		"resume them: in River's UI, or `UPDATE rolecall.river_queue SET paused_at = NULL` and a restart of `rolecall serve`",
	}, len(s.PausedQueues) > 0
}

// effectOf says which work stops while queues are paused, if access depends on it.
func effectOf(queues []string) string {
	if slices.Contains(queues, jobs.QueueRevocations) || slices.Contains(queues, jobs.QueueHeldUp) {
		return "; removals and bans aren't enforced"
	}
	return ""
}

// AdviceFor says what to do after a guard stopped a sweep.
func AdviceFor(reason sweep.GuardReason) string {
	switch reason {
	case sweep.ReasonRemovalRatio:
		return "if so many really left, run `rolecall reconcile --confirm`; if not, find out in Clerk's dashboard which members are missing"
	case sweep.ReasonListingIncomplete:
		return "nothing was removed because of this; sweep again, and if it stays so, look at Clerk's status page and the log"
	case sweep.ReasonWrongInstance:
		return "check CLERK_SECRET_KEY, CLERK_INSTANCE_ID and DATABASE_URL: one of them is of another environment"
	case sweep.ReasonUnauthorized:
		return "take a secret key of this instance from Clerk's dashboard"
	case sweep.ReasonReadsBehind:
		return "another sweep looks again within minutes; if it stays so, see Clerk's status page. If Clerk itself has gone back to an older " +
			"state, run `rolecall reconcile --trust-clerk` to take that over"
	case sweep.ReasonListRefused:
		return "turn the feature on in Clerk's dashboard or choose a plan that has it; if it is on, ask Clerk's support with the trace. " +
			"The key is good, and nothing was removed because of the refusal"
	case sweep.ReasonBudget:
		return "sweep again later: the new sweep resumes this one; if it stays so, let your application use less of Clerk's limit, or lower ROLECALL_CLERK_RATE"
	default:
		return "the log says which objects from Clerk can't be read; upgrade Rolecall"
	}
}

// databaseChanged: the database may lack acknowledged deliveries, until a later sweep has compared
// all objects with Clerk.
func (s Situation) databaseChanged() (Alarm, bool) {
	return Alarm{
		AlarmDatabase, fmt.Sprintf("the database was another one until %s (%s): deliveries acknowledged before then may be missing, removals among them",
			Instant(s.DatabaseChangedAt), s.DatabaseChange),
		"wait for the sweep that began by itself, or run `rolecall reconcile`; the audit log, with the entries of services, can't be " +
			"restored from Clerk",
	}, !s.DatabaseChangedAt.IsZero() && (s.LastClean == nil || !s.LastClean.StartedAt.After(s.DatabaseChangedAt))
}

// policyRefused: this process answers by another policy than its file's. Only it knows of it.
func (s Situation) policyRefused() (Alarm, bool) {
	if s.PolicyRefused == nil {
		return Alarm{}, false
	}
	return Alarm{
		AlarmPolicy, "this process answers by an earlier policy, because its file was refused: " + s.PolicyRefused.Error(),
		"correct the file of ROLECALL_POLICY_FILE, look at `rolecall policy diff`, and reload it with SIGHUP",
	}, true
}
