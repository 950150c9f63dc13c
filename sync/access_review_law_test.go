package sync_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestLaw_AReviewOfAnyInstantIsTheDirectoryOfThen lets a random history happen at the simulated
// Clerk. Its deliveries come in any order, each one at last. The access review of any instant then
// lists what Clerk had at that instant. [blurred] has the exceptions.
func TestLaw_AReviewOfAnyInstantIsTheDirectoryOfThen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := newPast(rt)
		for range rapid.IntRange(1, 25).Draw(rt, "length") {
			p.happen(rapid.SampledFrom(pastActions()).Draw(rt, "action"))
		}
		messages := p.clerk.Drain()
		switch rapid.IntRange(0, 2).Draw(rt, "disorder") {
		case 1: // each is overtaken by the next one at most
			for i := 0; i+1 < len(messages); i += 2 {
				if rapid.Bool().Draw(rt, "swap") {
					messages[i], messages[i+1] = messages[i+1], messages[i]
				}
			}
		case 2:
			messages = rapid.Permutation(messages).Draw(rt, "order")
		}
		log := audited(rt, messages)
		blurs := blurred(messages)
		for _, then := range p.moments {
			want, got := then.members, reviewed(rt, log, then.at)
			for _, blur := range blurs {
				if blur.from.Before(then.at) && then.at.Before(blur.until) {
					maps.DeleteFunc(want, blur.concerns)
					maps.DeleteFunc(got, blur.concerns)
				}
			}
			require.Equal(rt, want, got, "at %s, of\n%s", then.at.UTC(), inShort(log))
		}
	})
}

// TestLaw_DeliveriesInOrderRestateNothing: the log has entries about the past only if a delivery
// came late.
func TestLaw_DeliveriesInOrderRestateNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := newPast(rt)
		for range rapid.IntRange(1, 25).Draw(rt, "length") {
			p.happen(rapid.SampledFrom(pastActions()).Draw(rt, "action"))
		}
		for _, e := range audited(rt, p.clerk.Drain()) {
			require.False(rt, e.Action.Restates(), "%+v", e)
		}
	})
}

// blur is a time in which the log is wrong about one object.
type blur struct {
	object      string
	from, until time.Time
}

// concerns reports whether the pair "org_…/user_…" is the blurred object, or has it.
func (b blur) concerns(pair, _ string) bool {
	return strings.HasPrefix(b.object, "role_") || strings.Contains(pair, b.object)
}

// blurred returns what can't be exact. If an event comes after at least two later ones of its
// object, the mirror only knows the newest of them. So what the late event had changed is dated
// back by the newest one, and not by the first one.
func blurred(messages []clerksim.Message) (blurs []blur) {
	for i, late := range messages {
		var later []time.Time
		for _, m := range messages[:i] {
			if m.ObjectID == late.ObjectID && m.OccurredAt.After(late.OccurredAt) {
				later = append(later, m.OccurredAt)
			}
		}
		if len(later) < 2 {
			continue
		}
		object := late.ObjectID
		if pair := pairOf(late); pair != "" {
			object = pair
		}
		blurs = append(blurs, blur{object, slices.MinFunc(later, time.Time.Compare), slices.MaxFunc(later, time.Time.Compare)})
	}
	return blurs
}

// pairOf returns the pair of a membership's message, or "".
func pairOf(m clerksim.Message) string {
	var body struct {
		Data struct {
			Organization struct {
				ID string `json:"id"`
			} `json:"organization"`
			User struct {
				ID string `json:"user_id"`
			} `json:"public_user_data"`
		} `json:"data"`
	}
	if json.Unmarshal(m.Body, &body) != nil || body.Data.User.ID == "" || body.Data.Organization.ID == "" {
		return ""
	}
	return body.Data.Organization.ID + "/" + body.Data.User.ID
}

// past is a history at Clerk, with the directory as it was after each step.
type past struct {
	rt          *rapid.T
	clerk       *clerksim.World
	now         time.Time
	step        time.Duration // how long each thing takes
	users, orgs []string
	roles       []clerksim.Role
	moments     []moment
}

type moment struct {
	at      time.Time
	members map[string]string // "org_…/user_…": the role's key, and what is held against the user
}

func newPast(rt *rapid.T) *past {
	p := &past{rt: rt, now: time.UnixMilli(t0), step: time.Second}
	clerk, err := clerksim.New(clerksim.Config{
		Seed: rapid.Uint64().Draw(rt, "seed"), Now: func() time.Time { return p.now },
		MembershipEventsOnDelete: rapid.Bool().Draw(rt, "membership events on delete"),
	})
	require.NoError(rt, err)
	p.clerk = clerk
	for range 2 {
		p.happen("create user")
	}
	p.happen("create organization")
	return p
}

func pastActions() []string {
	return []string{
		"create user", "create organization", "delete organization", "delete user", "create role", "rename role",
		"add", "add", "add", "set role", "set role", "set role", "remove", "remove", "edit", "edit",
		"ban", "ban", "unban", "unban", "edit user", "deprovision", "restore",
	}
}

// happen lets something happen, notes the directory afterwards, and lets time pass: a second, so
// that the stamps of events, which are some milliseconds late, don't matter.
func (p *past) happen(action string) {
	err := p.do(action)
	var refused *clerksim.Error
	if err != nil && !errors.As(err, &refused) {
		require.NoError(p.rt, err, action)
	}
	p.moments = append(p.moments, moment{p.now.Add(700 * time.Millisecond), directoryMembers(p.clerk.Directory())})
	p.now = p.now.Add(p.step)
}

func (p *past) user() string { return rapid.SampledFrom(p.users).Draw(p.rt, "user") }
func (p *past) org() string  { return rapid.SampledFrom(p.orgs).Draw(p.rt, "organization") }
func (p *past) role() string {
	keys := slices.Sorted(maps.Keys(p.clerk.Directory().Roles))
	return rapid.SampledFrom(keys).Draw(p.rt, "role")
}

// roleKey draws a key that no role but the nth one ever has. If another role took a former key of a
// role, no entry would say when a member passes from one to the other: Clerk's events name roles by
// their keys alone.
func (p *past) roleKey(n int) string {
	return fmt.Sprintf("org:%s%d", rapid.SampledFrom([]string{"clerk", "guest", "lead"}).Draw(p.rt, "key"), n)
}

//nolint:cyclop // a table of what can happen
func (p *past) do(action string) (err error) {
	switch action {
	case "create user":
		user, err := p.clerk.CreateUser(clerksim.NewUser{Directory: true})
		p.users = append(p.users, user.ID)
		return err
	case "create organization":
		o, err := p.clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: p.user()})
		if err == nil {
			p.orgs = append(p.orgs, o.ID)
		}
		return err
	case "delete organization":
		return p.clerk.DeleteOrganization(p.org())
	case "delete user":
		return p.clerk.DeleteUser(p.user())
	case "create role":
		role, err := p.clerk.CreateRole(clerksim.NewRole{Key: p.roleKey(len(p.roles))})
		if err == nil {
			p.roles = append(p.roles, role)
		}
		return err
	case "rename role":
		if len(p.roles) == 0 {
			return nil
		}
		n := rapid.IntRange(0, len(p.roles)-1).Draw(p.rt, "which")
		_, err = p.clerk.UpdateRole(p.roles[n].ID, clerksim.RoleUpdate{Key: new(p.roleKey(n))})
	case "add":
		_, err = p.clerk.AddMember(p.org(), p.user(), p.role())
	case "set role":
		_, err = p.clerk.SetRole(p.org(), p.user(), p.role())
	case "remove":
		return p.clerk.RemoveMember(p.org(), p.user())
	case "edit": // an event that changes nothing that counts
		o, u := p.org(), p.user()
		_, err = p.clerk.SetRole(o, u, cmp.Or(p.clerk.Directory().Role(o, u), clerksim.RoleMember))
	case "invite":
		email := fmt.Sprintf("%d@example.test", len(p.clerk.Invitations()))
		_, err = p.clerk.Invite(p.org(), rapid.SampledFrom(append(p.users, "")).Draw(p.rt, "inviter"), email, p.role())
	case "accept":
		if all := p.clerk.Invitations(); len(all) > 0 {
			_, err = p.clerk.Accept(rapid.SampledFrom(all).Draw(p.rt, "invitation").ID, p.user())
		}
	case "ban":
		_, err = p.clerk.BanUser(p.user())
	case "unban":
		_, err = p.clerk.UnbanUser(p.user())
	case "edit user":
		_, err = p.clerk.UpdateUser(p.user(), clerksim.UserUpdate{FirstName: new(p.now.String())})
	case "deprovision":
		_, err = p.clerk.DeprovisionUser(p.user())
	case "restore":
		_, err = p.clerk.RestoreUser(p.user())
	}
	return err
}

func directoryMembers(d clerksim.Directory) map[string]string {
	members := map[string]string{}
	for _, m := range d.Memberships() {
		user := d.Users[m.UserID]
		members[m.OrganizationID+"/"+m.UserID] = described(m.Role, user.Banned, user.Deprovisioned)
	}
	return members
}

func described(role string, banned, deprovisioned bool) string {
	return fmt.Sprintf("%s banned %t deprovisioned %t", role, banned, deprovisioned)
}

// audited returns the audit log after the messages were applied one by one.
func audited(t require.TestingT, messages []clerksim.Message) (log []clerksync.LoggedEntry) {
	mirror := clerksync.NewMirror()
	for _, m := range messages {
		d := []clerksync.Delivery{clerksync.NewDelivery(m.ID, m.Body, m.OccurredAt, m.OccurredAt)}
		facts, _, err := clerksync.Decode(d[0])
		require.NoError(t, err)
		log = append(log, logged(t, mirror.ApplyAll(d, []clerksync.Facts{facts}).Entries, len(log))...)
	}
	return log
}

// logged returns entries as the log has them.
func logged(t require.TestingT, entries []clerksync.AuditEntry, seq int) (log []clerksync.LoggedEntry) {
	raw := func(d clerksync.Details) json.RawMessage {
		if d == nil {
			return nil
		}
		text, err := json.Marshal(d)
		require.NoError(t, err)
		return text
	}
	for _, e := range entries {
		seq++
		logged := clerksync.LoggedEntry{
			Seq: int64(seq), OrganizationID: e.OrganizationID, Action: e.Action, Target: e.Target, Before: raw(e.Before), After: raw(e.After),
			At: time.UnixMilli(e.At), Cause: e.Cause,
		}
		if e.Actor != "" {
			logged.Actor = &e.Actor
		}
		log = append(log, logged)
	}
	return log
}

// reviewed returns the members whom the review of an instant lists, but for deleted users.
func reviewed(t require.TestingT, log []clerksync.LoggedEntry, at time.Time) map[string]string {
	members := map[string]string{}
	for _, a := range review(t, log, at) {
		if !a.User.Dead {
			members[a.OrganizationID+"/"+a.UserID] = described(a.Role, a.User.Banned, a.User.Deprovisioned)
		}
	}
	return members
}

// inShort writes a log for people, a line for each entry.
func inShort(log []clerksync.LoggedEntry) string {
	var b strings.Builder
	for _, e := range log {
		fmt.Fprintf(&b, "%s %s %s %s before %s after %s of %s\n", e.At.UTC().Format("05.000"), e.OrganizationID, e.Action, e.Target, e.Before, e.After, e.Cause)
	}
	return b.String()
}

// review reviews all workspaces. Of every second one, the accounts take the entries about its users
// alone, and after its own.
func review(t require.TestingT, log []clerksync.LoggedEntry, at time.Time) (rows []clerksync.Access) {
	chains := map[string][]clerksync.LoggedEntry{}
	for _, e := range log {
		if !e.At.After(at) {
			chains[e.OrganizationID] = append(chains[e.OrganizationID], e)
		}
	}
	for _, chain := range chains {
		slices.SortStableFunc(chain, func(a, b clerksync.LoggedEntry) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq)) })
	}
	take := func(into func(clerksync.LoggedEntry) error, chain []clerksync.LoggedEntry, actions []clerksync.Action, targets ...string) {
		for _, e := range chain {
			if slices.Contains(actions, e.Action) && (len(targets) == 0 || slices.Contains(targets, e.Target)) {
				require.NoError(t, into(e))
			}
		}
	}
	var all clerksync.Accounts
	take(all.Take, chains[""], clerksync.RoleActions())
	take(all.Take, chains[""], clerksync.UserActions())
	for n, id := range slices.Sorted(maps.Keys(chains)) {
		accounts := &all
		if n%2 == 0 {
			accounts = &clerksync.Accounts{}
			take(accounts.Take, chains[""], clerksync.RoleActions())
		}
		w := accounts.Workspace(id)
		take(w.Take, chains[id], clerksync.WorkspaceActions())
		if users := w.Users(); n%2 == 0 && len(users) > 0 {
			take(accounts.Take, chains[""], clerksync.UserActions(), users...)
		}
		rows = append(rows, w.Rows()...)
	}
	return rows
}
