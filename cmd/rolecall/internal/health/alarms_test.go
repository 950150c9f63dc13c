package health

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
)

// TestAlarms_OfEachSituation computes the alarms of a healthy situation with one fault each.
func TestAlarms_OfEachSituation(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return at.Add(-d) }
	swept := func(s *Situation, state store.SweepState, reason sweep.GuardReason, report sweep.Report) {
		text, err := json.Marshal(report)
		require.NoError(t, err)
		s.LastSweep = &store.Sweep{ID: 7, State: state, Reason: string(reason), Report: text}
	}
	for name, tc := range map[string]struct {
		change func(*Situation)
		want   []AlarmName
		says   []string
	}{
		"all is well": {change: func(*Situation) {}},
		"never swept": {
			func(s *Situation) { s.LastClean, s.LastSweep = nil, nil }, []AlarmName{AlarmNeverSwept}, []string{"wait for the sweep"},
		},
		"never swept, and sweeps are off": {
			func(s *Situation) { s.LastClean, s.LastSweep, s.sweepsEvery = nil, nil, 0 },
			[]AlarmName{AlarmNeverSwept},
			[]string{"set CLERK_SECRET_KEY"},
		},
		"almost overdue": {change: func(s *Situation) { s.LastClean.StartedAt = ago(150 * time.Minute) }},
		"overdue": {
			func(s *Situation) { s.LastClean.StartedAt = ago(150*time.Minute + time.Second) },
			[]AlarmName{AlarmOverdue},
			[]string{"2h30m1s ago", "every 1h0m0s"},
		},
		"overdue by another interval": {
			func(s *Situation) { s.sweepsEvery = time.Minute }, []AlarmName{AlarmOverdue}, []string{"every 1m0s"},
		},
		"old, and sweeps are off": {change: func(s *Situation) { s.LastClean.StartedAt, s.sweepsEvery = ago(900*time.Hour), 0 }},
		"aborted by the brake": {
			func(s *Situation) {
				swept(s, store.SweepAborted, sweep.ReasonRemovalRatio, sweep.Report{Detail: "12 of 20 would go"})
			}, []AlarmName{AlarmAborted}, []string{"sweep_7", "12 of 20 would go", "--confirm"},
		},
		"aborted by an incomplete listing": {
			func(s *Situation) { swept(s, store.SweepAborted, sweep.ReasonListingIncomplete, sweep.Report{}) },
			[]AlarmName{AlarmAborted},
			[]string{"listing_incomplete", "status page"},
		},
		"aborted by the instance": {
			func(s *Situation) { swept(s, store.SweepAborted, sweep.ReasonWrongInstance, sweep.Report{}) },
			[]AlarmName{AlarmAborted},
			[]string{"CLERK_INSTANCE_ID"},
		},
		"aborted by unreadable objects": {
			func(s *Situation) { swept(s, store.SweepAborted, "unreadable", sweep.Report{}) },
			[]AlarmName{AlarmAborted},
			[]string{"the log"},
		},
		"answered in an older state": {
			func(s *Situation) { swept(s, store.SweepAborted, store.ReasonReadsBehind, sweep.Report{Behind: 4}) },
			[]AlarmName{AlarmBehind},
			[]string{"sweep_7", "4 objects", "--trust-clerk"},
		},
		"answered in one older state": {
			func(s *Situation) { swept(s, store.SweepAborted, store.ReasonReadsBehind, sweep.Report{Behind: 1}) },
			[]AlarmName{AlarmBehind},
			[]string{"1 object in"},
		},
		"changed without a delivery": {
			func(s *Situation) {
				swept(s, store.SweepClean, "", sweep.Report{NewestDrift: new(s.LastDelivery.Add(time.Millisecond))})
			}, []AlarmName{AlarmSilent}, []string{"11:59:00Z", "disabled"},
		},
		"changed before the newest delivery": {change: func(s *Situation) {
			swept(s, store.SweepClean, "", sweep.Report{NewestDrift: new(s.LastDelivery)})
		}},
		"changed, and no delivery ever came": {
			func(s *Situation) {
				s.LastDelivery = time.Time{}
				swept(s, store.SweepClean, "", sweep.Report{NewestDrift: new(ago(time.Hour))})
			}, []AlarmName{AlarmSilent}, []string{"none ever came"},
		},
		"no delivery ever came, and the change is older than the first sweep": {change: func(s *Situation) {
			s.LastDelivery, s.FirstClean.StartedAt = time.Time{}, ago(15*time.Minute)
			swept(s, store.SweepClean, "", sweep.Report{NewestDrift: new(s.FirstClean.StartedAt)})
		}},
		"no delivery ever came since the mirror was filled": {
			func(s *Situation) {
				s.LastDelivery, s.FirstClean.StartedAt = time.Time{}, ago(15*time.Minute+time.Second)
			},
			[]AlarmName{AlarmNoWebhook},
			[]string{"15m1s ago", "dashboard"},
		},
		"no delivery ever came, and no sweep went through": {func(s *Situation) {
			s.LastDelivery, s.FirstClean, s.LastClean = time.Time{}, nil, nil
			swept(s, store.SweepAborted, store.ReasonUnreadable, sweep.Report{NewestDrift: new(ago(time.Hour))})
		}, []AlarmName{AlarmNeverSwept, AlarmAborted}, nil},
		"almost stuck": {change: func(s *Situation) { s.Waiting, s.OldestWaiting = 3, ago(30*time.Second) }},
		"stuck": {
			func(s *Situation) { s.Waiting, s.OldestWaiting = 3, ago(31*time.Second) }, []AlarmName{AlarmStuck}, []string{"3 deliveries wait to", "31s"},
		},
		"a single one is stuck": {
			func(s *Situation) { s.Waiting, s.OldestWaiting = 1, ago(31*time.Second) }, []AlarmName{AlarmStuck}, []string{"1 delivery waits to"},
		},
		"a single one is quarantined": {
			func(s *Situation) { s.Quarantined = 1 }, []AlarmName{AlarmQuarantined}, []string{"1 delivery is quarantined: it can't"},
		},
		"quarantined": {
			func(s *Situation) { s.Quarantined = 2 }, []AlarmName{AlarmQuarantined}, []string{"2 deliveries", "deliveries replay"},
		},
		"paused": {
			func(s *Situation) { s.PausedQueues = []string{"apply", "revocations"} },
			[]AlarmName{AlarmPaused},
			[]string{"apply, revocations", "aren't enforced", "resume"},
		},
		"paused, and no access depends on it": {
			func(s *Situation) { s.PausedQueues = []string{"upkeep"} }, []AlarmName{AlarmPaused}, []string{"are paused: upkeepresume"},
		},
		"a failover lost what was acknowledged": {
			func(s *Situation) {
				s.Lost = store.Lost{Deliveries: 3, Entries: 2, More: true, First: ago(3 * time.Minute), Last: ago(2 * time.Minute)}
			},
			[]AlarmName{AlarmLost},
			[]string{"at least 3 deliveries, 2 entries of services", "11:57:00Z to 2026-03-01T11:58:00Z", "append them again"},
		},
		"another database": {
			func(s *Situation) { s.DatabaseChangedAt, s.DatabaseChange = ago(time.Minute), "from here to there" },
			[]AlarmName{AlarmDatabase},
			[]string{"from here to there", "reconcile"},
		},
		"another database, and swept since": {change: func(s *Situation) {
			s.DatabaseChangedAt, s.DatabaseChange = ago(2*time.Hour), "from here to there"
		}},
		"all at once, in one order": {func(s *Situation) {
			s.Quarantined, s.Waiting, s.OldestWaiting, s.LastClean.StartedAt = 1, 1, ago(time.Hour), ago(9*time.Hour)
			swept(s, store.SweepAborted, sweep.ReasonBudget, sweep.Report{NewestDrift: new(at)})
		}, []AlarmName{AlarmOverdue, AlarmAborted, AlarmSilent, AlarmStuck, AlarmQuarantined}, []string{"limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Situation{Status: store.Status{
				At: at, LastDelivery: ago(time.Minute), LastClean: &store.Sweep{StartedAt: ago(time.Hour)},
				FirstClean: &store.Sweep{StartedAt: ago(9 * time.Hour)},
			}, sweepsEvery: time.Hour}
			swept(&s, store.SweepClean, "", sweep.Report{})
			tc.change(&s)
			s, err := NewSituation(s.Status, s.sweepsEvery)
			require.NoError(t, err)
			var got []AlarmName
			said := ""
			for _, a := range s.Alarms() {
				got = append(got, a.Name)
				said += a.Detail + a.Advice
				require.Contains(t, AlarmNames(), a.Name)
			}
			require.Equal(t, tc.want, got)
			for _, part := range tc.says {
				require.Contains(t, said, part)
			}
		})
	}
	_, err := NewSituation(store.Status{LastSweep: &store.Sweep{Report: []byte("7")}}, 0)
	require.Error(t, err)
}
