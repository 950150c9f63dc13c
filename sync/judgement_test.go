package sync_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

const minute = int64(60_000)

// TestObserveAll_OlderAnswerChangesNothing. Judge then says whether a lag can explain an answer
// that contradicts the mirror.
func TestObserveAll_OlderAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	const hour = 60 * minute
	for name, c := range map[string]struct {
		event, answer    int64 // updated_at
		asked            int64
		settled, trusted bool
		behind, counts   bool
	}{
		"an answer from before the event":           {event: 10_000, answer: 0, asked: 23_000, behind: true},
		"long after":                                {event: 100_000, answer: 0, asked: 24 * hour, settled: true, behind: true},
		"two updates that lie within clocks' error": {event: 10_000, answer: 9_500, asked: 23_000, behind: true},
		"and Clerk still says so later":             {event: 10_000, answer: 9_500, asked: hour, settled: true, counts: true},
		"and clearly apart":                         {event: 100_000, answer: 9_500, asked: hour, settled: true, behind: true},
		"an operator says that Clerk is right":      {event: 10_000, answer: 0, asked: 23_000, trusted: true, counts: true},
	} {
		mirror := clerksync.NewMirror()
		apply(t, mirror, membershipMessage("msg_1", "updated", "orgmem_a1", "org:member", c.event, c.event))
		answer := observed(t, clerksync.ResourceMembership, c.asked, membershipShown("org:admin", c.answer))
		require.Empty(t, observe(mirror, answer, c.asked).Drift, name)
		require.Equal(t, "org:member", mirror.Memberships["orgmem_a1"].Role.Value, name)
		compared := mirror.Compare([]clerksync.Facts{answer})
		require.Empty(t, compared.Unknown, name)
		require.True(t, compared.Contradicted["orgmem_a1"], name)
		j := mirror.Judge(answer, clerksync.Circumstances{AskedAt: t0 + c.asked, Settled: c.settled, Trusted: c.trusted})
		require.Equal(t, c.behind, j.Behind, name)
		require.Equal(t, c.counts, j.Overruling.Subject != "", name)
		if c.counts {
			mirror.OverruleAll([]clerksync.Facts{j.Overruling}, t0+c.asked, "sweep_2")
			require.Equal(t, "org:admin", mirror.Memberships["orgmem_a1"].Role.Value, name)
			require.Empty(t, mirror.Compare([]clerksync.Facts{answer}).Contradicted, name)
		}
	}
}

// TestOlder_ComparesDatesOfAMembershipThatIsGone, even if all values agree.
func TestOlder_ComparesDatesOfAMembershipThatIsGone(t *testing.T) {
	t.Parallel()
	mirror := clerksync.NewMirror()
	answer := func(updated int64) clerksync.Facts {
		return observed(t, clerksync.ResourceMembership, 23_000, membershipShown("org:member", updated))
	}
	asked := clerksync.Circumstances{AskedAt: t0 + 23_000}
	require.False(t, mirror.Older(answer(0), asked), "unknown here")
	apply(t, mirror, membershipMessage("msg_1", "updated", "orgmem_a1", "org:member", 10_000, 10_000))
	ref := clerksync.Reference{ID: "orgmem_a1", OrganizationID: "org_a", UserID: "user_1"}
	observe(mirror, clerksync.Gone(clerksync.ResourceMembership, ref, t0+20_000, "sweep_1"), 20_000)
	require.True(t, tombstoneOf(mirror).Dead())
	require.True(t, mirror.Older(answer(9_999), asked))
	require.False(t, mirror.Older(answer(10_000), asked))
	require.False(t, mirror.Older(answer(0), clerksync.Circumstances{AskedAt: asked.AskedAt, Trusted: true}))
}

// TestCompare_ChangesNothing: another call merges an unknown answer, which contradicts nothing.
func TestCompare_ChangesNothing(t *testing.T) {
	t.Parallel()
	mirror := clerksync.NewMirror()
	apply(t, mirror, membershipMessage("msg_1", "updated", "orgmem_a1", "org:member", 1000, 1000))
	answer := observed(t, clerksync.ResourceMembership, 20_000, membershipShown("org:admin", 9000))
	for range 2 {
		compared := mirror.Compare([]clerksync.Facts{answer})
		require.Len(t, compared.Unknown, 1)
		require.Empty(t, compared.Contradicted)
		require.Equal(t, "org:member", mirror.Memberships["orgmem_a1"].Role.Value)
	}
}

// TestCompare_NothingContradictsNewObject, unless the answer shows it twice in two states.
func TestCompare_NothingContradictsNewObject(t *testing.T) {
	t.Parallel()
	older := observed(t, clerksync.ResourceMembership, 20_000, membershipShown("org:admin", 1000))
	newer := observed(t, clerksync.ResourceMembership, 20_000, membershipShown("org:member", 9000))
	require.Empty(t, clerksync.NewMirror().Compare([]clerksync.Facts{older}).Contradicted)
	require.True(t, clerksync.NewMirror().Compare([]clerksync.Facts{older, newer}).Contradicted["orgmem_a1"])
	require.True(t, clerksync.NewMirror().Compare([]clerksync.Facts{newer, older}).Contradicted["orgmem_a1"])
}

// TestJudge_OnlyWhatCountsOverrules: some registers of an answer are older than what is applied,
// and others aren't.
func TestJudge_OnlyWhatCountsOverrules(t *testing.T) {
	t.Parallel()
	mirror := clerksync.NewMirror()
	for _, m := range []message{
		{ID: "msg_1", Type: "user.updated", Timestamp: t0 + 9000, Data: map[string]any{"id": "user_1", "updated_at": t0 + 9000, "banned": true}},
		{ID: "msg_2", Type: "user.updated", Timestamp: t0 + 1, Data: map[string]any{"id": "user_1", "updated_at": math.MaxInt64, "first_name": "Kim"}},
	} {
		apply(t, mirror, m)
	}
	answer := observed(t, clerksync.ResourceUser, 20_000, map[string]any{"id": "user_1", "updated_at": t0, "banned": false, "first_name": "Lee"})
	j := mirror.Judge(answer, clerksync.Circumstances{AskedAt: t0 + 20_000})
	require.True(t, j.Behind)
	mirror.OverruleAll([]clerksync.Facts{j.Overruling}, t0+20_000, "sweep_2")
	require.True(t, mirror.Users["user_1"].Banned.Value)
	require.Equal(t, "Lee", *mirror.Users["user_1"].FirstName.Value)
}

// TestMembership_NeverMoves: an answer names the organization and user, whatever an event said.
func TestMembership_NeverMoves(t *testing.T) {
	t.Parallel()
	mirror := clerksync.NewMirror()
	moved := membershipMessage("msg_1", "updated", "orgmem_a1", "org:member", 9000, 9000)
	moved.Data["organization"] = map[string]any{"id": "org_zzz"}
	apply(t, mirror, moved)
	answer := observed(t, clerksync.ResourceMembership, 20_000, membershipShown("org:admin", 0))
	j := mirror.Judge(answer, clerksync.Circumstances{AskedAt: t0 + 20_000})
	require.True(t, j.Behind, "the role")
	mirror.OverruleAll([]clerksync.Facts{j.Overruling}, t0+20_000, "sweep_2")
	require.Equal(t, "org_a", mirror.Memberships["orgmem_a1"].OrganizationID)
	require.Equal(t, "org:member", mirror.Memberships["orgmem_a1"].Role.Value)
}

// TestUser_NestedBanOutlivesOlderState: an older state of the account's own doesn't lift a ban from
// a nested copy.
func TestUser_NestedBanOutlivesOlderState(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"banned", "deprovisioned"} {
		mirror := clerksync.NewMirror()
		nested := membershipMessage("msg_1", "updated", "orgmem_a1", "org:member", 9000, 9000)
		nested.Data["public_user_data"].(map[string]any)[flag] = true
		apply(t, mirror, nested)
		refused := func() bool {
			u := mirror.Users["user_1"]
			return u.Banned.Value || u.Deprovisioned.Value
		}
		answer := func(updated int64) clerksync.Facts {
			return observed(t, clerksync.ResourceUser, 20_000, map[string]any{
				"id": "user_1", "updated_at": t0 + updated, "banned": false, "deprovisioned": false, "first_name": "Kim",
			})
		}
		observe(mirror, answer(0), 20_000)
		require.True(t, refused(), flag)
		require.Equal(t, "Kim", *mirror.Users["user_1"].FirstName.Value, "the rest counts")
		require.True(t, mirror.Judge(answer(0), clerksync.Circumstances{AskedAt: t0 + 20_000}).Behind)
		require.False(t, mirror.Judge(answer(0), clerksync.Circumstances{AskedAt: t0 + 20_000, Settled: true}).Behind, "a copy may be old itself")
		observe(mirror, answer(9001), 20_000)
		require.False(t, refused(), "a newer state")
	}
}

// TestVersion_FutureDatesAreIgnored, because they would win against every later event.
func TestVersion_FutureDatesAreIgnored(t *testing.T) {
	t.Parallel()
	later := []int64{2 * minute, 365 * 24 * 60 * minute, math.MaxInt64 - t0}
	for _, ahead := range later {
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			t.Parallel()
			updated := membershipMessage("msg_1", "updated", "orgmem_a1", "org:admin", ahead, 1)
			occurred := membershipMessage("msg_1", "updated", "orgmem_a1", "org:admin", ahead, min(ahead, 1<<47)+6*minute)
			created := membershipMessage("msg_1", "created", "orgmem_a1", "org:admin", 1, 1)
			created.Data["created_at"] = t0 + ahead
			for _, wrong := range []message{updated, occurred, created} {
				mirror := play(t, wrong, membershipMessage("msg_2", "updated", "orgmem_a1", "org:member", 2, 2))
				require.Equal(t, "org:member", mirror.Memberships["orgmem_a1"].Role.Value, "a later demotion counts")
				require.LessOrEqual(t, mirror.Memberships["orgmem_a1"].CreatedAt.Value, t0)

				mirror = play(t, wrong)
				answer := observed(t, clerksync.ResourceMembership, 20_000, membershipShown("org:guest", 0))
				if wrong.Data["updated_at"].(int64) > t0+1 {
					require.NotEmpty(t, mirror.Judge(answer, clerksync.Circumstances{AskedAt: t0 + 20_000}).Overruling.Subject)
				}
			}
		})
	}
}

// TestVersion_DatesWithinClockErrorCount: the clocks of two of Clerk's machines may differ by that
// much.
func TestVersion_DatesWithinClockErrorCount(t *testing.T) {
	t.Parallel()
	ahead := membershipMessage("msg_1", "updated", "orgmem_a1", "org:admin", minute, 1)
	mirror := play(t, ahead, membershipMessage("msg_2", "updated", "orgmem_a1", "org:member", 2, 2))
	require.Equal(t, "org:admin", mirror.Memberships["orgmem_a1"].Role.Value)
	require.Equal(t, t0+minute, mirror.Memberships["orgmem_a1"].Role.Version.UpdatedAt)
	require.False(t, mirror.Memberships["orgmem_a1"].Role.Version.Undated)
}

// TestVersion_FutureDateOfAnAnswerIsIgnored, as that of an event is.
func TestVersion_FutureDateOfAnAnswerIsIgnored(t *testing.T) {
	t.Parallel()
	mirror := clerksync.NewMirror()
	answer := observed(t, clerksync.ResourceMembership, 1, membershipShown("org:admin", 10*minute))
	observe(mirror, answer, 1)
	apply(t, mirror, membershipMessage("msg_1", "updated", "orgmem_a1", "org:member", 5, 5))
	require.Equal(t, "org:member", mirror.Memberships["orgmem_a1"].Role.Value)
}

// TestFollows says which of two memberships of a pair came last, if an answer's dates contradict
// the mirror's.
func TestFollows(t *testing.T) {
	t.Parallel()
	membership := func(created, updated int64) clerksync.Membership {
		raw, err := json.Marshal(map[string]any{
			"id": "orgmem_b", "role": "org:member", "created_at": t0 + created, "updated_at": t0 + updated,
			"organization": map[string]any{"id": "org_a"}, "public_user_data": map[string]any{"user_id": "user_1"},
		})
		require.NoError(t, err)
		f, err := clerksync.DecodeObservation(clerksync.Observation{
			Resource: clerksync.ResourceMembership, Object: raw, AskedAt: t0 + 20*minute, Cause: "sweep_1",
		})
		require.NoError(t, err)
		return f.Memberships[0]
	}
	ended := play(t, membershipMessage("msg_1", "deleted", "orgmem_a1", "org:member", 10_000, 15_000)).Memberships["orgmem_a1"]
	ended.CreatedAt.Value = t0 + 10_000
	read := ended
	read.Tombstone = clerksync.Tombstone{OccurredAt: t0 + 19*minute, DeliveryID: "sweep_1", ReceivedAt: t0 + 19*minute}
	for name, c := range map[string]struct {
		shown   clerksync.Membership
		ended   clerksync.Membership
		settled bool
		want    bool
	}{
		"a membership of before, as a lagging read shows it": {shown: membership(1000, 8000), ended: ended},
		"dated by a clock that is 50 ms behind":              {shown: membership(9950, 9950), ended: ended, want: true},
		"updated after the other's end":                      {shown: membership(1000, 15_001), ended: ended, want: true},
		"updated before the other's end":                     {shown: membership(1000, 14_999), ended: ended},
		"long after the end":                                 {shown: membership(1000, 8000), ended: ended, settled: true, want: true},
		"after an end that a read found":                     {shown: membership(1000, 10_001), ended: read, want: true},
		"before a membership whose end a read found":         {shown: membership(1000, 9000), ended: read},
	} {
		require.Equal(t, c.want, c.shown.Follows(c.ended, c.settled), name)
	}
	facts := clerksync.Facts{Subject: "orgmem_b", Memberships: []clerksync.Membership{membership(0, 0)}}
	require.Equal(t, t0+15_101, facts.AliveAfter(ended).Memberships[0].AliveAt)
	require.Zero(t, facts.Memberships[0].AliveAt, "the facts stay as they are")
}

// TestMembership_SignedEventShowsItAlive, also if its date contradicts that of another membership.
func TestMembership_SignedEventShowsItAlive(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]int64{"created": t0 + 7, "updated": t0 + 7, "deleted": 0} {
		m := play(t, membershipMessage("msg_1", kind, "orgmem_a1", "org:member", 1, 7)).Memberships["orgmem_a1"]
		require.Equal(t, want, m.AliveAt, kind)
	}
	mirror := clerksync.NewMirror()
	observe(mirror, shownAlive(t, 9), 9)
	require.Zero(t, mirror.Memberships["orgmem_a1"].AliveAt, "an answer may be old")
}

// TestNewDelivery_FutureEnvelopeIsIgnored: the message was signed before that.
func TestNewDelivery_FutureEnvelopeIsIgnored(t *testing.T) {
	t.Parallel()
	for stamp, want := range map[int64]int64{
		t0 + 5*minute: t0 + 5*minute, t0 + 5*minute + 1: t0, 4102444800000: t0, 4102444800: t0,
	} {
		d := clerksync.NewDelivery("msg_1", fmt.Appendf(nil, `{"type":"user.updated","timestamp":%d,"data":{"id":"user_1"}}`, stamp),
			time.UnixMilli(t0), time.UnixMilli(t0))
		require.Equal(t, want, d.OccurredAt, stamp)
	}
}
