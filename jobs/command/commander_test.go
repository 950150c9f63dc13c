package command

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// allCommands are one command of each kind, in an order in which all succeed.
func (b *commandBundle) allCommands(organization, admin, second, member string) []func() clerksync.Command {
	about := func(actor string, action clerksync.Action, target string) clerksync.Command {
		return clerksync.Command{Actor: actor, Action: action, OrganizationID: organization, Target: target}
	}
	return []func() clerksync.Command{
		func() clerksync.Command {
			c := about(admin, clerksync.ActionWorkspaceRenamed, organization)
			c.Name = "South"
			return c
		},
		func() clerksync.Command {
			c := about(second, clerksync.ActionMemberRoleChanged, member)
			c.Role = clerksim.RoleAdmin
			return c
		},
		func() clerksync.Command {
			c := about(member, clerksync.ActionInvitationSent, "")
			c.Email, c.Role = "robin@callmine.test", clerksim.RoleMember
			return c
		},
		func() clerksync.Command {
			pending, err := b.client.PendingInvitations(b.t.Context(), organization, "robin@callmine.test")
			require.NoError(b.t, err)
			id, err := clerksync.ObservedID(pending[0])
			require.NoError(b.t, err)
			return about(admin, clerksync.ActionInvitationRevoked, id)
		},
		func() clerksync.Command { return about(admin, clerksync.ActionMemberRemoved, member) },
		func() clerksync.Command { return about(second, clerksync.ActionMemberRemoved, second) },
		func() clerksync.Command {
			return clerksync.Command{Actor: admin, Action: clerksync.ActionWorkspaceCreated, Name: "Another"}
		},
	}
}

// expected returns the audit log of the team's organization after all commands, without the
// invitation's id.
func expected(organization, admin, second, member string) []entry {
	return []entry{
		{admin, "workspace.renamed", organization},
		{second, "member.role_changed", member},
		{member, "invitation.sent", ""},
		{admin, "invitation.revoked", ""},
		{admin, "member.removed", member},
		{second, "member.left", second},
	}
}

// TestCommander_AuditsOnceWithTheActor, whichever comes first: the command, or the webhook of its
// change. The other one then changes nothing, nor does a sweep.
func TestCommander_AuditsOnceWithTheActor(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]func(*commandBundle){
		"command first": func(*commandBundle) {},
		"webhook first": func(b *commandBundle) { // before Clerk's answer is here
			b.faults.AfterAnswer(func(clerksim.Call) {
				if err := b.webhooks(); err != nil {
					b.t.Error(err)
				}
			}, func(c clerksim.Call) bool { return c.Request.Method != http.MethodGet })
		},
		"at once": func(b *commandBundle) {
			var wg sync.WaitGroup
			b.t.Cleanup(wg.Wait)
			b.faults.AfterAnswer(func(clerksim.Call) {
				wg.Go(func() {
					if err := b.webhooks(); err != nil {
						b.t.Error(err)
					}
				})
			}, func(c clerksim.Call) bool { return c.Request.Method != http.MethodGet })
		},
		"sweep first": func(b *commandBundle) {
			b.faults.AfterAnswer(func(clerksim.Call) {
				if _, err := b.sweeper().Run(context.Background(), sweep.Options{}); err != nil {
					b.t.Error(err)
				}
			}, func(c clerksim.Call) bool { return c.Request.Method != http.MethodGet })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupCommands(t)
			organization, admin, second, member := b.team()
			before := len(b.entriesOf(organization))
			order(b)
			for _, command := range b.allCommands(organization, admin, second, member) {
				c := command()
				c.RequestID = "asks for " + string(c.Action)
				require.NoError(t, b.run(c, ""))
			}
			b.faults.Clear()
			mirrortest.Eventually(t, func() bool { return b.webhooks() == nil })
			b.sweep(sweep.Options{})
			entries := withoutInvitationIDs(b.entriesOf(organization)[before:])
			require.ElementsMatch(t, expected(organization, admin, second, member), entries)
			o, ok := b.clerk.Organization(b.newest(admin))
			require.True(t, ok)
			require.ElementsMatch(t, []entry{{admin, "workspace.created", o.ID}, {admin, "member.joined", admin}}, b.entriesOf(o.ID))
			require.Equal(t, map[string]int{"done": 7}, b.states())
			requests := append(b.requestsOf(organization), b.requestsOf(o.ID)...)
			require.ElementsMatch(t, []string{
				"workspace.created: asks for workspace.created", "workspace.renamed: asks for workspace.renamed",
				"invitation.sent: asks for invitation.sent", "invitation.revoked: asks for invitation.revoked",
				"member.role_changed: asks for member.role_changed", "member.removed: asks for member.removed", "member.left: asks for member.removed",
			}, requests)
		})
	}
}

// requestsOf returns the actions of an organization's entries that a request asked for, with the
// request.
func (b *commandBundle) requestsOf(organization string) (requests []string) {
	b.t.Helper()
	entries, err := store.AuditEntries(b.t.Context(), b.Pool, store.AuditQuery{OrganizationID: organization}, 100)
	require.NoError(b.t, err)
	asked, err := store.RequestsOfChanges(b.t.Context(), b.Pool, entries)
	require.NoError(b.t, err)
	for _, e := range entries {
		if id := asked[e.ID]; id != "" {
			requests = append(requests, string(e.Action)+": "+id)
		}
	}
	return requests
}

// withoutInvitationIDs leaves out the ids of invitations, which Clerk chooses.
func withoutInvitationIDs(entries []entry) []entry {
	for i := range entries {
		if strings.HasPrefix(entries[i].Action, "invitation.") {
			entries[i].Target = ""
		}
	}
	return entries
}

// newest returns the organization that a user joined last.
func (b *commandBundle) newest(user string) string {
	b.t.Helper()
	var id string
	require.NoError(b.t, b.Pool.QueryRow(b.t.Context(),
		"SELECT organization_id FROM rolecall.memberships WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT 1", user).Scan(&id))
	return id
}

// TestCommander_ChangesByOthersAreNotAttributed: a command explains one change, the one that it
// made, and no change by others.
func TestCommander_ChangesByOthersAreNotAttributed(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, _, member := b.team()
	before := len(b.entriesOf(organization))
	promote := clerksync.Command{
		Actor: admin, Action: clerksync.ActionMemberRoleChanged, OrganizationID: organization, Target: member, Role: clerksim.RoleAdmin,
	}
	require.NoError(t, b.run(promote, ""))
	_, err := b.clerk.SetRole(organization, member, clerksim.RoleMember) // in Clerk's dashboard
	require.NoError(t, err)
	require.NoError(t, b.webhooks())
	_, err = b.clerk.SetRole(organization, member, clerksim.RoleAdmin)
	require.NoError(t, err)
	require.NoError(t, b.webhooks())

	lift := b.faults.Fail(http.StatusForbidden, nil) // refused: the command may explain no change
	demote := promote
	demote.Role = clerksim.RoleMember
	require.Error(t, b.run(demote, ""))
	lift()
	_, err = b.clerk.SetRole(organization, member, clerksim.RoleMember)
	require.NoError(t, err)
	require.NoError(t, b.webhooks())

	lift = b.faults.CutBody(nil) // Clerk did it, and the answer was lost
	require.ErrorIs(t, b.run(promote, ""), clerksync.ErrOutcomeUnknown)
	lift()
	require.NoError(t, b.webhooks())
	for _, role := range []string{clerksim.RoleMember, clerksim.RoleAdmin, clerksim.RoleMember} {
		_, err = b.clerk.SetRole(organization, member, role)
		require.NoError(t, err)
		require.NoError(t, b.webhooks())
	}

	lift = b.faults.Fail(http.StatusBadGateway, nil) // the outcome is unknown, but the next change isn't what was asked for
	require.Error(t, b.run(promote, ""))
	lift()
	require.NoError(t, b.clerk.RemoveMember(organization, member))
	require.NoError(t, b.webhooks())
	require.Equal(t, []entry{
		{admin, "member.role_changed", member},
		{"", "member.role_changed", member},
		{"", "member.role_changed", member},
		{"", "member.role_changed", member},
		{admin, "member.role_changed", member},
		{"", "member.role_changed", member},
		{"", "member.role_changed", member},
		{"", "member.role_changed", member},
		{"", "member.removed", member},
	}, b.entriesOf(organization)[before:])
}

// unrecorded fails to make an answer, as if the database had just gone away.
func unrecorded(context.Context, store.DBTX, clerksync.Command) (json.RawMessage, error) {
	return nil, errors.New("the database went away")
}

// TestCommander_UnrecordedCommandIsCompletedLater: Clerk has carried a command out. Then the
// command couldn't be recorded, or the process died. The webhook completes the command, with its
// actor. Without a webhook, the sweep does.
func TestCommander_UnrecordedCommandIsCompletedLater(t *testing.T) {
	t.Parallel()
	for name, complete := range map[string]func(*commandBundle){
		"webhook": func(b *commandBundle) { require.NoError(b.t, b.webhooks()) },
		"sweep": func(b *commandBundle) {
			b.sweep(sweep.Options{Confirm: true})
			require.NoError(b.t, b.webhooks()) // late
		},
		"webhook after a crash": func(b *commandBundle) {
			b.Exec(b.t, "UPDATE rolecall.commands SET state = 'begun' WHERE state = 'unknown'")
			b.abandon()
			require.NoError(b.t, b.webhooks())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupCommands(t)
			organization, admin, second, member := b.team()
			before := len(b.entriesOf(organization))
			for _, command := range b.allCommands(organization, admin, second, member) {
				_, _, err := b.commander.Run(t.Context(), command(), store.CommandKey{}, nil, unrecorded)
				require.ErrorIs(t, err, clerksync.ErrNotRecorded)
				complete(b)
			}
			entries := withoutInvitationIDs(b.entriesOf(organization)[before:])
			require.Equal(t, expected(organization, admin, second, member), entries)
			created := b.newest(admin)
			require.ElementsMatch(t, []entry{{admin, "workspace.created", created}, {admin, "member.joined", admin}}, b.entriesOf(created))
		})
	}
}

// TestCommander_RecordsDespiteDeadlocks: Clerk has carried the command out, so its record is tried
// again after each failure that another attempt may avoid.
func TestCommander_RecordsDespiteDeadlocks(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, second, member := b.team()
	b.Exec(t, `CREATE SEQUENCE rolecall.deadlocks;
		CREATE FUNCTION rolecall.deadlock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('rolecall.deadlocks') <= 2 THEN RAISE SQLSTATE '40P01'; END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER deadlock BEFORE UPDATE ON rolecall.organizations FOR EACH ROW EXECUTE FUNCTION rolecall.deadlock()`)
	rename := b.allCommands(organization, admin, second, member)[0]()
	_, _, err := b.commander.Run(t.Context(), rename, store.CommandKey{}, nil, answerDone)
	require.NoError(t, err)
	require.Equal(t, 3, b.Count(t, "SELECT last_value::int FROM rolecall.deadlocks"), "times that it was written")
}

// TestCommander_RepeatCompletesInterruptedCommand: Clerk has carried the command out, and its
// answer was lost. A repeat with the same key completes the command, without doing it twice. It
// makes no difference whether the webhook came meanwhile.
func TestCommander_RepeatCompletesInterruptedCommand(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(*commandBundle){
		"no webhook came": func(*commandBundle) {},
		"webhook came":    func(b *commandBundle) { require.NoError(b.t, b.webhooks()) },
		"process died": func(b *commandBundle) {
			b.Exec(b.t, "UPDATE rolecall.commands SET state = 'begun' WHERE state = 'unknown'")
			b.abandon()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupCommands(t)
			organization, admin, second, member := b.team()
			before := len(b.entriesOf(organization))
			for i, command := range b.allCommands(organization, admin, second, member) {
				key, c := "key"+strconv.Itoa(i), command()
				lift := b.faults.CutBody(func(c clerksim.Call) bool { return c.Request.Method != http.MethodGet })
				require.ErrorIs(t, b.run(c, key), clerksync.ErrOutcomeUnknown, "%s", c.Action)
				lift()
				meanwhile(b)
				require.NoError(t, b.run(c, key), "%s", c.Action)
				require.NoError(t, b.run(c, key), "and again")
			}
			require.NoError(t, b.webhooks())
			entries := withoutInvitationIDs(b.entriesOf(organization)[before:])
			require.Equal(t, expected(organization, admin, second, member), entries)
			require.Equal(t, 1, b.faults.Calls()["POST /organizations"], "not made twice")
			require.Equal(t, map[string]int{"done": 7}, b.states())
		})
	}
}

// TestCommander_KeyInUse: a key is in use while its command runs. It is free again some time after
// the process has died.
func TestCommander_KeyInUse(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	admin := b.person()
	c := clerksync.Command{Actor: admin, Action: clerksync.ActionWorkspaceCreated, Name: "North"}
	key := store.CommandKey{Digest: []byte("key"), Request: []byte("request")}
	_, _, err := store.BeginCommand(t.Context(), b.Pool, "cmd_1", c, key)
	require.NoError(t, err)
	require.ErrorIs(t, b.run(c, "key"), clerksync.ErrInProgress)
	b.abandon()
	require.NoError(t, b.run(c, "key"))
	key.Request = []byte("another")
	_, _, err = b.commander.Run(t.Context(), c, key, nil, answerDone)
	require.ErrorIs(t, err, clerksync.ErrKeyReused)
	require.Equal(t, 1, b.faults.Calls()["POST /organizations"])
}

// TestCommander_OldCommandsArePruned after a day, and younger ones are not.
func TestCommander_OldCommandsArePruned(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	for _, name := range []string{"North", "South"} {
		require.NoError(t, b.run(clerksync.Command{Actor: b.person(), Action: clerksync.ActionWorkspaceCreated, Name: name}, ""))
	}
	b.Exec(t, "UPDATE rolecall.commands SET begun_at = begun_at - interval '25 hours' WHERE outcome = 'North'")
	b.work()
	mirrortest.Eventually(t, func() bool { return b.Count(t, "SELECT count(*) FROM rolecall.commands") == 1 })
	require.Equal(t, 0, b.Count(t, "SELECT count(*) FROM rolecall.commands WHERE outcome = 'North'"))
}

// TestCommander_ManyCommandsAndWebhooksAtOnce: admins change the roles of members, all at the same
// time. Meanwhile several workers apply the webhooks in any order, and some twice. Each change is
// audited once, with the actor who made it.
func TestCommander_ManyCommandsAndWebhooksAtOnce(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, second, _ := b.team()
	const members, rounds = 6, 4
	users := make([]string, members)
	for i := range users {
		users[i] = b.person()
		_, err := b.clerk.AddMember(organization, users[i], clerksim.RoleMember)
		require.NoError(t, err)
	}
	require.NoError(t, b.webhooks())
	before := len(b.entriesOf(organization))
	b.work()
	in, err := jobs.NewInbox(jobs.InboxConfig{Pool: b.Pool, Logger: b.Logs.Logger()})
	require.NoError(t, err)
	t.Cleanup(in.Stop)
	var deliveries sync.WaitGroup
	deliver := func() {
		for _, d := range b.sent() {
			for range 2 {
				deliveries.Go(func() {
					if _, err := in.Accept(context.Background(), d); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	b.faults.AfterAnswer(func(clerksim.Call) { deliver() }, func(c clerksim.Call) bool { return c.Request.Method != http.MethodGet })
	want := make([][]entry, members)
	var commands sync.WaitGroup
	for i, user := range users {
		commands.Go(func() {
			for round := range rounds {
				c := clerksync.Command{
					Actor: []string{admin, second}[(i+round)%2], Action: clerksync.ActionMemberRoleChanged, OrganizationID: organization,
					Target: user, Role: []string{clerksim.RoleAdmin, clerksim.RoleMember}[round%2],
				}
				if err := b.run(c, ""); err != nil {
					t.Error(err)
				}
				want[i] = append(want[i], entry{c.Actor, "member.role_changed", user})
			}
		})
	}
	commands.Wait()
	deliver()
	deliveries.Wait()
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE state = 'received'") == 0
	})
	got := b.entriesOf(organization)[before:]
	for i, user := range users {
		require.Equal(t, want[i], slices.DeleteFunc(slices.Clone(got), func(e entry) bool { return e.Target != user }))
	}
	require.Len(t, got, members*rounds)
}
