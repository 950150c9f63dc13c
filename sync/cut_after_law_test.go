package sync_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/api/client"
	"github.com/callmine/rolecall/internal/clerksim"
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
		actions := append(rapid.SliceOfN(rapid.SampledFrom(pastActions()), 2, 6).Draw(rt, "actions"), "add", "invite", "accept") // few, so that they meet
		for range rapid.IntRange(10, 60).Draw(rt, "length") {
			p.step = rapid.SampledFrom(steps).Draw(rt, "step")
			p.happen(rapid.SampledFrom(actions).Draw(rt, "action"))
		}
		messages := p.clerk.Drain()
		if rapid.Bool().Draw(rt, "disorder") {
			messages = rapid.Permutation(messages).Draw(rt, "order")
		}
		log := audited(rt, messages)
		for i, e := range log {
			if e.Action == clerksync.ActionInvitationSent && e.Actor == nil {
				log[i].Actor = new("service:crm") // who asked for it; see Attribute
			}
		}
		end := time.UnixMilli(t0).Add(time.Hour)
		kept := log
		instants := []time.Time{end}
		for _, e := range log {
			instants = append(instants, e.At.Add(time.Millisecond))
		}
		cuts := rapid.SliceOfN(rapid.SampledFrom(instants), 0, 2).Draw(rt, "cuts before")
		for _, before := range append(slices.SortedFunc(slices.Values(cuts), time.Time.Compare), end) {
			kept = cutBefore(rt, kept, before, rapid.IntRange(1, len(log)).Draw(rt, "most"))
			for _, at := range []time.Time{before, rapid.SampledFrom(instants).Draw(rt, "reviewed"), end} {
				if !at.Before(before) {
					require.Equal(rt, review(rt, log, at), review(rt, kept, at), "a review of %s of\n%s\nby\n%s", at.UTC(), inShort(log), inShort(kept))
				}
			}
			require.Equal(rt, fedMembers(log), fedMembers(kept), "a consumer of\n%s\nby\n%s", inShort(log), inShort(kept))
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
		kept := log
		for before := range 4 {
			kept = cutBefore(rt, kept, time.UnixMilli(t0+int64(before)), rapid.IntRange(1, len(log)).Draw(rt, "most"))
			for n := before; n < 5; n++ {
				at := time.UnixMilli(t0 + int64(n))
				require.Equal(rt, reviewed(rt, log, at), reviewed(rt, kept, at), "a review of %s of\n%s\nby\n%s", at.UTC(), inShort(log), inShort(kept))
			}
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
		if rapid.IntRange(0, 9).Draw(rt, "old") == 0 { // an entry from before the membership was named
			e.Before = nil
		}
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

// TestCutAfter_KeepsWhatAConsumerTakesOtherwise: a removal from before entries named the membership
// ends whichever began last, and a role of a former membership may be dated after the current one.
func TestCutAfter_KeepsWhatAConsumerTakesOtherwise(t *testing.T) {
	t.Parallel()
	entry := func(seq int64, action clerksync.Action, membership string, at int64) clerksync.LoggedEntry {
		e := clerksync.LoggedEntry{Seq: seq, OrganizationID: "org_1", Action: action, Target: "user_1", At: time.UnixMilli(t0 + at)}
		is := json.RawMessage(fmt.Sprintf(`{"membership_id":"%s","role":"org:member"}`, membership))
		switch {
		case membership == "":
		case action == clerksync.ActionMemberRemoved:
			e.Before = is
		default:
			e.After = is
		}
		return e
	}
	for name, log := range map[string][]clerksync.LoggedEntry{
		"no membership": {entry(1, clerksync.ActionMemberJoined, "om_1", 20), entry(2, clerksync.ActionMemberRemoved, "", 10)},
		"role dated late": {
			entry(1, clerksync.ActionMemberRoleChanged, "om_1", 50), entry(2, clerksync.ActionMemberRoleChanged, "om_1", 5),
			entry(3, clerksync.ActionMemberRemoved, "om_1", 60), entry(4, clerksync.ActionMemberJoined, "om_2", 10),
		},
	} {
		log = append(log, clerksync.LoggedEntry{Seq: 5, OrganizationID: "org_1", Action: "report.run", Target: "x", At: time.UnixMilli(t0 + 100)})
		require.Equal(t, fedMembers(log), fedMembers(cutBefore(t, log, time.UnixMilli(t0+90), len(log))), name)
	}
}

// TestLateDelivery_AfterACutBringsNobodyBack: of a membership that has ended, the log has only what
// the late delivery itself says.
func TestLateDelivery_AfterACutBringsNobodyBack(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(t0)
	clerk, err := clerksim.New(clerksim.Config{Now: func() time.Time { now = now.Add(time.Second); return now }})
	require.NoError(t, err)
	boss, err := clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	user, err := clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	org, err := clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: boss.ID})
	require.NoError(t, err)
	messages := clerk.Drain()
	_, err = clerk.AddMember(org.ID, user.ID, clerksim.RoleMember)
	require.NoError(t, err)
	late := clerk.Drain()
	_, err = clerk.SetRole(org.ID, user.ID, clerksim.RoleAdmin)
	require.NoError(t, err)
	require.NoError(t, clerk.RemoveMember(org.ID, user.ID))
	messages = append(messages, clerk.Drain()...)
	before := audited(t, messages)
	before = append(before, clerksync.LoggedEntry{Seq: int64(len(before) + 1), OrganizationID: org.ID, Action: "report.run", At: now})
	kept := cutBefore(t, before, now.Add(time.Second), len(before))
	restated := audited(t, append(messages, late...))[len(before)-1:]
	require.NotEmpty(t, restated)
	for _, e := range restated {
		e.Seq += 2
		kept = append(kept, e)
	}
	require.NotContains(t, reviewed(t, kept, now.Add(time.Hour)), org.ID+"/"+user.ID, inShort(kept))
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
		for _, e := range cutBefore(rt, log, end, len(log)) {
			if m := e.FeedChange(); m.MembershipID != "" {
				require.True(rt, current[m.MembershipID] || deleted[m.UserID], "%s of %s", e.Action, m.MembershipID)
			}
		}
	})
}

// cutBefore cuts all chains before an instant. It looks at so many entries of each at most, as one
// part of a cut does.
func cutBefore(t require.TestingT, log []clerksync.LoggedEntry, before time.Time, most int) (kept []clerksync.LoggedEntry) {
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
		young = min(young, most)
		old := chain[:young]
		var late []string
		for _, e := range chain[young:] {
			switch early := !e.At.After(clerksync.LastHappened(old)); { // as LateTargets of package store
			case early && e.Action == clerksync.ActionInvitationAccepted && e.Actor != nil:
				late = append(late, *e.Actor)
			case early || e.Action == clerksync.ActionWorkspaceCreated:
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
// "org_…/user_…".
func fedMembers(log []clerksync.LoggedEntry) map[string]string {
	batch := client.Batch{Anew: true}
	members := map[string]string{}
	for _, e := range log {
		if c := e.FeedChange(); !e.Action.Restates() && e.Target != "" { // as migration 00053 has it
			batch.Changes = append(batch.Changes, client.FeedChange{
				At: e.At, WorkspaceID: c.OrganizationID, Kind: string(c.Kind), Target: c.Target, UserID: c.UserID, MembershipID: c.MembershipID, Role: c.Role,
				Deleted: c.Deleted, Banned: c.Banned, Deprovisioned: c.Deprovisioned,
			})
		}
	}
	var consumer client.Members
	consumer.Apply(batch)
	for _, c := range batch.Changes {
		for user, role := range consumer.Of(c.WorkspaceID) {
			members[c.WorkspaceID+"/"+user] = role
		}
	}
	return members
}
