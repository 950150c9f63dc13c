package sync_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestLaw_ACutChangesNoAnswer: what a cut leaves tells a later review, and a consumer who reads the
// change feed from its beginning, what all entries tell them. Deliveries come in any order, and
// things may happen faster than Clerk's clocks and stamps can tell apart.
func TestLaw_ACutChangesNoAnswer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := newPast(rt)
		steps := rapid.SampledFrom([][]time.Duration{{time.Second}, {0, time.Millisecond, 20 * time.Millisecond}}).Draw(rt, "steps")
		actions := append(rapid.SliceOfN(rapid.SampledFrom(pastActions()), 2, 6).Draw(rt, "actions"), "add") // few, so that they meet
		for range rapid.IntRange(10, 60).Draw(rt, "length") {
			p.step = rapid.SampledFrom(steps).Draw(rt, "step")
			p.happen(rapid.SampledFrom(actions).Draw(rt, "action"))
		}
		messages := p.clerk.Drain()
		if rapid.Bool().Draw(rt, "disorder") {
			messages = rapid.Permutation(messages).Draw(rt, "order")
		}
		log := audited(rt, messages)
		end := time.UnixMilli(t0).Add(time.Hour)
		reviewedAll, fedAll := reviewed(rt, log, end), fedMembers(log)
		kept := log
		instants := []time.Time{end}
		for _, e := range log {
			instants = append(instants, e.At.Add(time.Millisecond))
		}
		cuts := rapid.SliceOfN(rapid.SampledFrom(instants), 0, 2).Draw(rt, "cuts before")
		for _, before := range append(slices.SortedFunc(slices.Values(cuts), time.Time.Compare), end) {
			kept = cutBefore(rt, kept, before)
			require.Equal(rt, reviewedAll, reviewed(rt, kept, end), "a review of\n%s\nby\n%s", inShort(log), inShort(kept))
			require.Equal(rt, fedAll, fedMembers(kept), "a consumer of\n%s\nby\n%s", inShort(log), inShort(kept))
		}
	})
}

// TestLaw_ACutOfAnyLogChangesNoAnswer, however its entries contradict each other.
func TestLaw_ACutOfAnyLogChangesNoAnswer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var log []clerksync.LoggedEntry
		for seq := range rapid.IntRange(6, 12).Draw(rt, "length") {
			log = append(log, anyEntry(rt, int64(seq+1)))
		}
		end := time.UnixMilli(t0).Add(time.Hour)
		kept := log
		for before := range 4 {
			kept = cutBefore(rt, kept, time.UnixMilli(t0+int64(before)))
			require.Equal(rt, reviewed(rt, log, end), reviewed(rt, kept, end), "a review of\n%s\nby\n%s", inShort(log), inShort(kept))
			require.Equal(rt, fedMembers(log), fedMembers(kept), "a consumer of\n%s\nby\n%s", inShort(log), inShort(kept))
		}
	})
}

func anyEntry(rt *rapid.T, seq int64) clerksync.LoggedEntry {
	e := clerksync.LoggedEntry{Seq: seq, At: time.UnixMilli(t0 + int64(rapid.IntRange(0, 4).Draw(rt, "at")))}
	e.Action = rapid.SampledFrom(slices.Concat(clerksync.UserActions(), []clerksync.Action{
		clerksync.ActionMemberJoined, clerksync.ActionMemberJoined, clerksync.ActionMemberRoleChanged, clerksync.ActionMemberRemoved, clerksync.ActionMemberRestated,
		clerksync.ActionWorkspaceCreated, clerksync.ActionWorkspaceDeleted, clerksync.ActionWorkspaceRestated, clerksync.ActionMemberJoined,
		clerksync.ActionMemberRoleChanged, clerksync.ActionMemberRemoved, clerksync.ActionMemberLeft, clerksync.ActionMemberRestated,
	})).Draw(rt, "action")
	details := func(format string, values ...any) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(format, values...))
	}
	user := rapid.SampledFrom([]string{"user_1", "user_1", "user_1", "user_2"}).Draw(rt, "user")
	member := details(`{"membership_id":"orgmem_%d","role":"org:%d"}`, rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(rt, "membership"), rapid.IntRange(1, 2).Draw(rt, "role"))
	switch e.Action {
	case clerksync.ActionWorkspaceDeleted:
		e.OrganizationID, e.Target, e.Before = "org_1", "org_1", details(`{"name":"One"}`)
	case clerksync.ActionWorkspaceCreated:
		e.OrganizationID, e.Target, e.After = "org_1", "org_1", details(`{"name":"One"}`)
	case clerksync.ActionMemberRemoved, clerksync.ActionMemberLeft:
		e.OrganizationID, e.Target, e.Before = "org_1", user, member
	case clerksync.ActionMemberJoined, clerksync.ActionMemberRoleChanged:
		e.OrganizationID, e.Target, e.After = "org_1", user, member
	case clerksync.ActionMemberRestated:
		e.OrganizationID, e.Target, e.After = "org_1", user, member
		if rapid.Bool().Draw(rt, "of its end") {
			e.Before, e.After = member, nil
		}
	case clerksync.ActionWorkspaceRestated:
		e.OrganizationID, e.Target, e.Before = "org_1", "org_1", details(`{"name":"One"}`)
	case clerksync.ActionUserRestated:
		e.Target, e.After = user, details(`{"%s":%t}`, rapid.SampledFrom([]string{"banned", "deprovisioned"}).Draw(rt, "what"), rapid.Bool().Draw(rt, "is"))
	case clerksync.ActionUserBanned, clerksync.ActionUserUnbanned:
		e.Target, e.After = user, details(`{"banned":%t}`, e.Action == clerksync.ActionUserBanned)
	case clerksync.ActionUserDeprovisioned, clerksync.ActionUserRestored:
		e.Target, e.After = user, details(`{"deprovisioned":%t}`, e.Action == clerksync.ActionUserDeprovisioned)
	case clerksync.ActionUserDeleted:
		e.Target, e.After = user, details(`{"deleted":true}`)
	default: // not drawn
	}
	return e
}

// TestCutAfter_KeepsLittle: where a review and a consumer read the same, entries about ended
// memberships and lifted bans go.
func TestCutAfter_KeepsLittle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := newPast(rt)
		for range rapid.IntRange(1, 40).Draw(rt, "length") {
			p.happen(rapid.SampledFrom(pastActions()).Draw(rt, "action"))
		}
		end := time.UnixMilli(t0).Add(time.Hour)
		log := audited(rt, p.clerk.Drain())
		for _, org := range append(p.orgs, "") { // the last entry of a chain is never cut
			log = append(log, clerksync.LoggedEntry{Seq: int64(len(log) + 1), OrganizationID: org, Action: "report.run", At: end})
		}
		current, deleted := map[string]bool{}, map[string]bool{}
		for _, m := range p.clerk.Directory().Memberships() {
			current[m.ID] = true
		}
		for _, e := range log {
			deleted[e.Target] = deleted[e.Target] || e.Action == clerksync.ActionUserDeleted
		}
		for _, e := range cutBefore(rt, log, end) {
			if m := e.FeedChange(); m.MembershipID != "" {
				require.True(rt, current[m.MembershipID] || deleted[m.UserID], "%s of %s", e.Action, m.MembershipID)
			}
		}
	})
}

// cutBefore cuts all chains before an instant.
func cutBefore(t require.TestingT, log []clerksync.LoggedEntry, before time.Time) (kept []clerksync.LoggedEntry) {
	var accounts clerksync.Accounts
	chains := map[string][]clerksync.LoggedEntry{}
	for _, e := range slices.SortedFunc(slices.Values(log), clerksync.LoggedEntry.Happened) {
		if slices.Contains(clerksync.RoleActions(), e.Action) {
			require.NoError(t, accounts.Take(e))
		}
	}
	for _, e := range log {
		chains[e.OrganizationID] = append(chains[e.OrganizationID], e)
	}
	gone := map[int64]bool{}
	for id, chain := range chains {
		young := slices.IndexFunc(chain, func(e clerksync.LoggedEntry) bool { return !e.At.Before(before) })
		if young < 0 {
			young = len(chain) - 1 // the last entry is never cut
		}
		old := chain[:young]
		var late []string
		for _, e := range chain[young:] {
			if !e.At.After(clerksync.LastHappened(old)) || e.Action == clerksync.ActionWorkspaceCreated {
				late = append(late, e.Target)
			}
		}
		holds, err := clerksync.CutAfter(id, &accounts, old, late, nil)
		require.NoError(t, err)
		for _, e := range old {
			gone[e.Seq] = !holds[e.Seq]
		}
	}
	return slices.DeleteFunc(slices.Clone(log), func(e clerksync.LoggedEntry) bool { return gone[e.Seq] })
}

// fedMembers returns the roles of those whom a consumer of the change feed takes for members, by
// "org_…/user_…". Of several memberships, the one counts that began last, and of two that began
// together, the one that lives.
func fedMembers(log []clerksync.LoggedEntry) map[string]string {
	type membership struct {
		began time.Time
		role  string
		ended bool
	}
	gone := map[string]bool{} // workspaces that are deleted
	held := map[string]bool{} // against a user
	pairs := map[string]map[string]*membership{}
	for _, e := range log {
		c := e.FeedChange()
		switch pair := c.OrganizationID + "/" + c.UserID; c.Kind {
		case clerksync.ActionWorkspaceCreated, clerksync.ActionWorkspaceDeleted:
			gone[c.OrganizationID] = c.Kind == clerksync.ActionWorkspaceDeleted
		case clerksync.ActionMemberJoined, clerksync.ActionMemberRoleChanged:
			if pairs[pair] == nil {
				pairs[pair] = map[string]*membership{}
			}
			if m := pairs[pair][c.MembershipID]; m == nil || m.ended { // it began, or came back
				pairs[pair][c.MembershipID] = &membership{began: e.At}
			}
			m := pairs[pair][c.MembershipID]
			m.role, m.ended = c.Role, false
		case clerksync.ActionMemberRemoved, clerksync.ActionMemberLeft:
			if m := pairs[pair][c.MembershipID]; m != nil {
				m.ended = true
			}
		case clerksync.ActionUserBanned, clerksync.ActionUserUnbanned, clerksync.ActionUserDeprovisioned, clerksync.ActionUserRestored, clerksync.ActionUserDeleted:
			for name, is := range map[string]*bool{"deleted": c.Deleted, "banned": c.Banned, "deprovisioned": c.Deprovisioned} {
				if is != nil {
					held[c.UserID+" "+name] = *is
				}
			}
		default: // of the past, or no member's
		}
	}
	members := map[string]string{}
	for pair, memberships := range pairs {
		var last *membership
		for _, id := range slices.Sorted(maps.Keys(memberships)) {
			m := memberships[id]
			if last == nil || m.began.After(last.began) || m.began.Equal(last.began) && last.ended {
				last = m
			}
		}
		org, user, _ := strings.Cut(pair, "/")
		if !last.ended && !gone[org] && !held[user+" deleted"] && !held[user+" banned"] && !held[user+" deprovisioned"] {
			members[pair] = last.role
		}
	}
	return members
}
