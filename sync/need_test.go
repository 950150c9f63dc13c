package sync_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

func TestRoster_Needs(t *testing.T) {
	t.Parallel()
	sound := clerksync.Roster{Members: 9, Managers: 2}
	with := func(change func(*clerksync.Roster)) clerksync.Roster {
		r := sound
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		roster clerksync.Roster
		want   []clerksync.Need
	}{
		"nothing":                        {sound, nil},
		"no member":                      {clerksync.Roster{}, []clerksync.Need{clerksync.NeedNoManager}},
		"no manager":                     {clerksync.Roster{Members: 9}, []clerksync.Need{clerksync.NeedNoManager}},
		"a single one":                   {clerksync.Roster{Members: 9, Managers: 1}, []clerksync.Need{clerksync.NeedSingleManager}},
		"a policy without managers":      {clerksync.Roster{Members: 9, NoneCanManage: true}, nil},
		"a full workspace":               {with(func(r *clerksync.Roster) { r.Seats = clerksync.Seats{Taken: 9, Limit: 9} }), nil},
		"one member too many":            {with(func(r *clerksync.Roster) { r.Seats = clerksync.Seats{Taken: 9, Limit: 8} }), []clerksync.Need{clerksync.NeedOverSeatLimit}},
		"a banned member too many":       {with(func(r *clerksync.Roster) { r.Seats = clerksync.Seats{Taken: 10, Limit: 9} }), []clerksync.Need{clerksync.NeedOverSeatLimit}},
		"a role that grants nothing":     {with(func(r *clerksync.Roster) { r.UnknownRole = 1 }), []clerksync.Need{clerksync.NeedUnknownRole}},
		"an invitation that has expired": {with(func(r *clerksync.Roster) { r.ExpiredInvitations = 1 }), []clerksync.Need{clerksync.NeedExpiredInvitations}},
		"several at once": {
			clerksync.Roster{Members: 9, UnknownRole: 9, Seats: clerksync.Seats{Taken: 9, Limit: 1}, ExpiredInvitations: 1},
			[]clerksync.Need{clerksync.NeedNoManager, clerksync.NeedUnknownRole, clerksync.NeedOverSeatLimit, clerksync.NeedExpiredInvitations},
		},
	} {
		require.Equal(t, c.want, c.roster.Needs(), name)
	}
}

// TestEvidence_SaysWhatCanBeJudged: nothing before the first clean sweep, after another database
// took over, or without a policy.
func TestEvidence_SaysWhatCanBeJudged(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(t0)
	clean := now.Add(-time.Hour)
	for name, c := range map[string]struct {
		evidence clerksync.Evidence
		want     clerksync.Unjudged
	}{
		"sound":                               {clerksync.Evidence{CleanSince: clean, PolicySaved: true}, ""},
		"never swept":                         {clerksync.Evidence{PolicySaved: true}, clerksync.UnjudgedNeverSwept},
		"another database":                    {clerksync.Evidence{CleanSince: clean, PolicySaved: true, DatabaseChangedAt: now}, clerksync.UnjudgedDatabaseChanged},
		"another database before that sweep":  {clerksync.Evidence{CleanSince: clean, PolicySaved: true, DatabaseChangedAt: clean.Add(-1)}, ""},
		"another database during that sweep":  {clerksync.Evidence{CleanSince: clean, PolicySaved: true, DatabaseChangedAt: clean.Add(1)}, clerksync.UnjudgedDatabaseChanged},
		"no process has ever saved a policy":  {clerksync.Evidence{CleanSince: clean}, clerksync.UnjudgedNoPolicy},
		"of two reasons, the more urgent one": {clerksync.Evidence{}, clerksync.UnjudgedNeverSwept},
	} {
		require.Equal(t, c.want, c.evidence.Unjudged(), name)
	}
}

// TestEvidence_SaysWhichFindingsCount: only those that are a minute old, and older than a sweep
// that isn't clean and than a delivery that waits.
func TestEvidence_SaysWhichFindingsCount(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(t0)
	minute, hour := now.Add(-time.Minute), now.Add(-time.Hour)
	for name, c := range map[string]struct {
		evidence clerksync.Evidence
		want     time.Time
	}{
		"sound":                             {clerksync.Evidence{Now: now}, minute},
		"a sweep for an hour":               {clerksync.Evidence{Now: now, UncleanSince: hour}, hour},
		"a sweep that has just begun":       {clerksync.Evidence{Now: now, UncleanSince: now}, minute},
		"a delivery that waits for an hour": {clerksync.Evidence{Now: now, WaitingSince: hour}, hour},
		"a delivery that has just come":     {clerksync.Evidence{Now: now, WaitingSince: now}, minute},
		"both":                              {clerksync.Evidence{Now: now, UncleanSince: minute.Add(-1), WaitingSince: hour}, hour},
	} {
		require.Equal(t, c.want, c.evidence.SettledBefore(), name)
	}
}
