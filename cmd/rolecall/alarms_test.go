package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
)

// TestAlarms computes the alarms of a situation in which all is well, but for one thing.
func TestAlarms(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return at.Add(-d) }
	swept := func(s *situation, state store.SweepState, reason sweep.GuardReason, report sweep.Report) {
		text, err := json.Marshal(report)
		require.NoError(t, err)
		s.LastSweep = &store.Sweep{ID: 7, State: state, Reason: string(reason), Report: text}
	}
	for name, tc := range map[string]struct {
		change func(*situation)
		want   []alarmName
		says   []string
	}{
		"all is well": {change: func(*situation) {}},
		"never swept": {
			func(s *situation) { s.LastClean, s.LastSweep = nil, nil }, []alarmName{alarmNeverSwept}, []string{"wait for the sweep"},
		},
		"never swept, and nobody will": {
			func(s *situation) { s.LastClean, s.LastSweep, s.sweepsEvery = nil, nil, 0 },
			[]alarmName{alarmNeverSwept},
			[]string{"set CLERK_SECRET_KEY"},
		},
		"almost overdue": {change: func(s *situation) { s.LastClean.StartedAt = ago(150 * time.Minute) }},
		"overdue": {
			func(s *situation) { s.LastClean.StartedAt = ago(150*time.Minute + time.Second) },
			[]alarmName{alarmOverdue},
			[]string{"2h30m1s ago", "every 1h0m0s"},
		},
		"overdue by another interval": {
			func(s *situation) { s.sweepsEvery = time.Minute }, []alarmName{alarmOverdue}, []string{"every 1m0s"},
		},
		"old, and sweeps are off": {change: func(s *situation) { s.LastClean.StartedAt, s.sweepsEvery = ago(900*time.Hour), 0 }},
		"aborted by the brake": {
			func(s *situation) {
				swept(s, store.SweepAborted, sweep.ReasonRemovalRatio, sweep.Report{Detail: "12 of 20 would go"})
			}, []alarmName{alarmAborted}, []string{"sweep_7", "12 of 20 would go", "--confirm"},
		},
		"aborted by an incomplete listing": {
			func(s *situation) { swept(s, store.SweepAborted, sweep.ReasonListingIncomplete, sweep.Report{}) },
			[]alarmName{alarmAborted},
			[]string{"listing_incomplete", "status page"},
		},
		"aborted by the instance": {
			func(s *situation) { swept(s, store.SweepAborted, sweep.ReasonWrongInstance, sweep.Report{}) },
			[]alarmName{alarmAborted},
			[]string{"CLERK_INSTANCE_ID"},
		},
		"aborted by what can't be read": {
			func(s *situation) { swept(s, store.SweepAborted, "unreadable", sweep.Report{}) },
			[]alarmName{alarmAborted},
			[]string{"the log"},
		},
		"answered from before": {
			func(s *situation) { swept(s, store.SweepAborted, store.ReasonReadsBehind, sweep.Report{Behind: 4}) },
			[]alarmName{alarmBehind},
			[]string{"sweep_7", "4 objects", "--trust-clerk"},
		},
		"changed and told nothing": {
			func(s *situation) {
				swept(s, store.SweepClean, "", sweep.Report{NewestDrift: new(s.LastDelivery.Add(time.Millisecond))})
			}, []alarmName{alarmSilent}, []string{"11:59:00Z", "disabled"},
		},
		"changed before the newest delivery": {change: func(s *situation) {
			swept(s, store.SweepClean, "", sweep.Report{NewestDrift: new(s.LastDelivery)})
		}},
		"changed, and no delivery ever came": {
			func(s *situation) {
				s.LastDelivery = time.Time{}
				swept(s, store.SweepClean, "", sweep.Report{NewestDrift: new(ago(time.Hour))})
			}, []alarmName{alarmSilent}, []string{"none ever came"},
		},
		"no delivery ever came, and the change is older than the first sweep": {change: func(s *situation) {
			s.LastDelivery, s.FirstClean.StartedAt = time.Time{}, ago(15*time.Minute)
			swept(s, store.SweepClean, "", sweep.Report{NewestDrift: new(s.FirstClean.StartedAt)})
		}},
		"no delivery ever came since the mirror was filled": {
			func(s *situation) {
				s.LastDelivery, s.FirstClean.StartedAt = time.Time{}, ago(15*time.Minute+time.Second)
			},
			[]alarmName{alarmNoWebhook},
			[]string{"15m1s ago", "dashboard"},
		},
		"no delivery ever came, and no sweep went through": {func(s *situation) {
			s.LastDelivery, s.FirstClean, s.LastClean = time.Time{}, nil, nil
			swept(s, store.SweepAborted, store.ReasonUnreadable, sweep.Report{NewestDrift: new(ago(time.Hour))})
		}, []alarmName{alarmNeverSwept, alarmAborted}, nil},
		"almost stuck": {change: func(s *situation) { s.Waiting, s.OldestWaiting = 3, ago(30*time.Second) }},
		"stuck": {
			func(s *situation) { s.Waiting, s.OldestWaiting = 3, ago(31*time.Second) }, []alarmName{alarmStuck}, []string{"3 deliveries", "31s"},
		},
		"quarantined": {
			func(s *situation) { s.Quarantined = 2 }, []alarmName{alarmQuarantined}, []string{"2 deliveries", "deliveries replay"},
		},
		"paused": {
			func(s *situation) { s.PausedQueues = []string{"apply", "revocations"} },
			[]alarmName{alarmPaused},
			[]string{"apply, revocations", "aren't enforced", "resume"},
		},
		"paused, and nobody's access hangs on it": {
			func(s *situation) { s.PausedQueues = []string{"upkeep"} }, []alarmName{alarmPaused}, []string{"are paused: upkeepresume"},
		},
		"another database": {
			func(s *situation) { s.DatabaseChangedAt, s.DatabaseChange = ago(time.Minute), "from here to there" },
			[]alarmName{alarmDatabase},
			[]string{"from here to there", "reconcile"},
		},
		"another database, and swept since": {change: func(s *situation) {
			s.DatabaseChangedAt, s.DatabaseChange = ago(2*time.Hour), "from here to there"
		}},
		"all at once, in one order": {func(s *situation) {
			s.Quarantined, s.Waiting, s.OldestWaiting, s.LastClean.StartedAt = 1, 1, ago(time.Hour), ago(9*time.Hour)
			swept(s, store.SweepAborted, sweep.ReasonBudget, sweep.Report{NewestDrift: new(at)})
		}, []alarmName{alarmOverdue, alarmAborted, alarmSilent, alarmStuck, alarmQuarantined}, []string{"limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := situation{Status: store.Status{
				At: at, LastDelivery: ago(time.Minute), LastClean: &store.Sweep{StartedAt: ago(time.Hour)},
				FirstClean: &store.Sweep{StartedAt: ago(9 * time.Hour)},
			}, sweepsEvery: time.Hour}
			swept(&s, store.SweepClean, "", sweep.Report{})
			tc.change(&s)
			s, err := newSituation(s.Status, s.sweepsEvery)
			require.NoError(t, err)
			var got []alarmName
			said := ""
			for _, a := range s.alarms() {
				got = append(got, a.Name)
				said += a.Detail + a.Advice
				require.Contains(t, alarmNames(), a.Name)
			}
			require.Equal(t, tc.want, got)
			for _, part := range tc.says {
				require.Contains(t, said, part)
			}
		})
	}
	_, err := newSituation(store.Status{LastSweep: &store.Sweep{Report: []byte("7")}}, 0)
	require.Error(t, err)
}
