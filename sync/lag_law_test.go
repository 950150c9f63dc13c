package sync_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestLaw_RefusedStaysRefused draws a random history. Some of its events arrive, in any order.
// Answers of Clerk's API show any moment of it. If signed events refuse an account or a membership,
// no answer from before them admits it.
func TestLaw_RefusedStaysRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := genLagHistory(t)
		mirror := clerksync.NewMirror()
		newest := map[string]int64{} // when the newest event occurred that arrived, by what it decides
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "an event arrives") {
				e := rapid.SampledFrom(h.events).Draw(t, "event")
				decide(newest, e, mirror)
				apply(t, mirror, e)
				continue
			}
			before := refusals(mirror)
			asOf := rapid.IntRange(0, len(h.states)-1).Draw(t, "answered as of")
			h.answer(t, mirror, asOf)
			after := refusals(mirror)
			for what, refused := range before {
				if h.states[asOf].at < newest[what] {
					require.False(t, refused && !after[what], "%s of %d let in as of %d", what, newest[what], h.states[asOf].at)
				}
			}
		}
	})
}

// lagHistory is the history at Clerk of one account in one organization.
type lagHistory struct {
	events []message
	states []lagState // after each event
}

// lagState is what Clerk's API shows at a moment: the account, and its membership if there is one.
type lagState struct {
	at         int64
	user       map[string]any
	membership map[string]any
}

// genLagHistory draws a history. Two changes are farther apart than clocks differ.
func genLagHistory(t *rapid.T) *lagHistory {
	now := lagState{at: t0, user: map[string]any{"id": "user_1", "banned": false, "created_at": t0, "updated_at": t0}}
	h := &lagHistory{states: []lagState{now}}
	emit := func(kind string, data map[string]any) {
		h.events = append(h.events, message{
			ID: fmt.Sprintf("msg_%02d", len(h.events)), Type: kind, Timestamp: now.at + 20, Data: maps.Clone(data),
		})
	}
	touch := func(object map[string]any, name string, value any) map[string]any {
		return with(with(object, name, value), "updated_at", now.at)
	}
	for n := range rapid.IntRange(2, 10).Draw(t, "length") {
		now.at += 5000
		action := rapid.SampledFrom([]string{"join", "role", "leave", "ban"}).Draw(t, "action")
		nested := map[string]any{"user_id": "user_1", "banned": now.user["banned"]}
		switch {
		case action == "ban":
			now.user = touch(now.user, "banned", !now.user["banned"].(bool))
			emit("user.updated", now.user)
		case action == "join" && now.membership == nil:
			now.membership = map[string]any{
				"id": fmt.Sprintf("orgmem_%d", n), "created_at": now.at, "updated_at": now.at, "role": drawRole(t),
				"organization": map[string]any{"id": "org_a"}, "public_user_data": nested,
			}
			emit("organizationMembership.created", now.membership)
		case action == "role" && now.membership != nil:
			now.membership = with(touch(now.membership, "role", drawRole(t)), "public_user_data", nested)
			emit("organizationMembership.updated", now.membership)
		case action == "leave" && now.membership != nil:
			emit("organizationMembership.deleted", with(now.membership, "public_user_data", nested))
			now.membership = nil
		default:
			continue
		}
		h.states = append(h.states, now)
	}
	if len(h.events) == 0 {
		emit("user.updated", now.user)
	}
	return h
}

// with returns an object with another value of one member.
func with(object map[string]any, name string, value any) map[string]any {
	object = maps.Clone(object)
	object[name] = value
	return object
}

func drawRole(t *rapid.T) string {
	return rapid.SampledFrom([]string{"org:admin", "org:member"}).Draw(t, "role")
}

// answer merges what Clerk's API shows as of one state, by the rules of sweeps and look-ups. The
// API is asked after the whole history.
func (h *lagHistory) answer(t *rapid.T, mirror clerksync.Mirror, asOf int) {
	const asked = int64(10_000_000)
	shown := []clerksync.Facts{observed(t, clerksync.ResourceUser, asked, h.states[asOf].user)}
	if m := h.states[asOf].membership; m != nil {
		f := observed(t, clerksync.ResourceMembership, asked, m).Own()
		var ended []clerksync.Membership
		follows := true
		for _, other := range mirror.Memberships {
			if other.ID != f.Subject && other.Tombstone.Dead() {
				ended = append(ended, other)
				follows = follows && f.Memberships[0].Follows(other, false)
			}
		}
		if follows && len(ended) > 0 {
			f = f.AliveAfter(ended...)
		}
		shown = append(shown, f)
	}
	mirror.ObserveAll(shown, t0+asked, "sweep_1")
	for _, f := range shown {
		if j := mirror.Judge(f, clerksync.Circumstances{AskedAt: t0 + asked}); j.Overruling.Subject != "" {
			mirror.OverruleAll([]clerksync.Facts{j.Overruling}, t0+asked, "sweep_1")
		}
	}
}

// decide notes what an event decides. A nested copy of the account refuses it until the account's
// own event comes.
func decide(newest map[string]int64, e message, known clerksync.Mirror) {
	user, nested := e.Data["public_user_data"].(map[string]any)
	version := known.Users["user_1"].Banned.Version
	switch {
	case !nested && version.Rank < clerksync.RankFull:
		newest["user"] = e.Timestamp
	case !nested:
		newest["user"] = max(newest["user"], e.Timestamp)
	case user["banned"].(bool) && version.Rank < clerksync.RankFull:
		newest["user"] = max(newest["user"], e.Timestamp)
	}
	if nested {
		newest["membership"] = max(newest["membership"], e.Timestamp)
	}
}

// refusals reports whether the mirror refuses the account, and whether it refuses to let the
// membership that counts manage the organization. No event refuses an unknown membership.
func refusals(m clerksync.Mirror) map[string]bool {
	refused := map[string]bool{"user": m.Users["user_1"].Banned.Value}
	if len(m.Memberships) > 0 {
		refused["membership"] = !slices.ContainsFunc(slices.Collect(maps.Values(m.Memberships)), func(one clerksync.Membership) bool {
			return counts(one, m.Memberships) && one.Role.Value == "org:admin"
		})
	}
	return refused
}

// counts does in Go what the view effective_memberships does in SQL. No two of these memberships
// have one date.
func counts(m clerksync.Membership, pair map[string]clerksync.Membership) bool {
	for _, n := range pair {
		outlived := n.Tombstone.Dead() && m.AliveAt > n.Tombstone.OccurredAt+100
		if n.CreatedAt.Value > m.CreatedAt.Value && !outlived {
			return false
		}
	}
	return !m.Tombstone.Dead()
}
