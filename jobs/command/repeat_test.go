package command

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// changes matches the calls that change something at Clerk.
func changes(c clerksim.Call) bool { return c.Request.Method != http.MethodGet }

// TestRepeat_UndoesNoLaterChange: the command took effect, as its webhook showed, and others have
// changed the same object since.
func TestRepeat_UndoesNoLaterChange(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, _, member := b.team()
	lift := b.faults.CutBody(changes)
	promote := clerksync.Command{
		Actor: admin, Action: clerksync.ActionMemberRoleChanged, OrganizationID: organization, Target: member, Role: clerksim.RoleAdmin,
	}
	remove := clerksync.Command{Actor: admin, Action: clerksync.ActionMemberRemoved, OrganizationID: organization, Target: member}
	for i, c := range []clerksync.Command{promote, remove} {
		require.ErrorIs(t, b.run(c, "key"+strconv.Itoa(i)), clerksync.ErrOutcomeUnknown)
		require.NoError(t, b.webhooks())
	}
	lift()
	_, err := b.clerk.AddMember(organization, member, clerksim.RoleMember) // invited again
	require.NoError(t, err)
	require.NoError(t, b.webhooks())
	before := len(b.entriesOf(organization))
	require.NoError(t, b.run(promote, "key0"))
	require.NoError(t, b.run(remove, "key1"))
	require.Equal(t, clerksim.RoleMember, b.clerk.Directory().Role(organization, member))
	require.Len(t, b.entriesOf(organization), before)
}

// TestRepeat_RemovesNoNewMembership: this holds also if no webhook showed that the first try took
// effect.
func TestRepeat_RemovesNoNewMembership(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, _, member := b.team()
	remove := clerksync.Command{Actor: admin, Action: clerksync.ActionMemberRemoved, OrganizationID: organization, Target: member}
	lift := b.faults.CutBody(changes)
	require.ErrorIs(t, b.run(remove, "key"), clerksync.ErrOutcomeUnknown)
	lift()
	b.Exec(t, "UPDATE rolecall.commands SET begun_at = begun_at - interval '5 hours', sent_at = sent_at - interval '5 hours'")
	_, err := b.clerk.AddMember(organization, member, clerksim.RoleMember)
	require.NoError(t, err)
	require.NoError(t, b.run(remove, "key"))
	require.Equal(t, clerksim.RoleMember, b.clerk.Directory().Role(organization, member))
}

// TestCommander_LateCreatorMembershipIsAttributed: Clerk shows the creator's membership only after
// the command is done.
func TestCommander_LateCreatorMembershipIsAttributed(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	admin := b.person()
	lift := b.faults.Fail(http.StatusServiceUnavailable, clerksim.Lookups)
	require.NoError(t, b.run(clerksync.Command{Actor: admin, Action: clerksync.ActionWorkspaceCreated, Name: "North"}, ""))
	lift()
	require.NoError(t, b.webhooks())
	created := b.newest(admin)
	require.ElementsMatch(t, []entry{{admin, "workspace.created", created}, {admin, "member.joined", admin}}, b.entriesOf(created))
}

// TestRepeat_OutlivedTryEndsNothing: the process of the first try was away for so long that the
// same key was tried again. The answer of the later try stays.
func TestRepeat_OutlivedTryEndsNothing(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, _, _ := b.team()
	rename := clerksync.Command{
		Actor: admin, Action: clerksync.ActionWorkspaceRenamed, OrganizationID: organization, Target: organization, Name: "South",
	}
	key := store.CommandKey{Digest: []byte("key"), Request: []byte("request")}
	answered := func(text string) Answer {
		return func(context.Context, store.DBTX, clerksync.Command) (json.RawMessage, error) {
			return json.RawMessage(text), nil
		}
	}
	lift := b.faults.AfterAnswer(func(clerksim.Call) { // the first try has reached Clerk
		b.faults.Clear()
		b.abandon()
		_, _, err := b.commander.Run(context.Background(), rename, key, nil, answered(`"second"`))
		if err != nil {
			t.Error(err)
		}
	}, changes)
	defer lift()
	_, _, err := b.commander.Run(t.Context(), rename, key, nil, answered(`"first"`))
	require.NoError(t, err)
	again, repeated, err := b.commander.Run(t.Context(), rename, key, nil, answered(`"third"`))
	require.NoError(t, err)
	require.True(t, repeated)
	require.JSONEq(t, `"second"`, string(again))
}

// TestCommander_JoinIsNotAttributedToAnotherCreation: while it is unknown whether Clerk made the
// workspace, its creator is added to an older one.
func TestCommander_JoinIsNotAttributedToAnotherCreation(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, _, _, _ := b.team()
	b.Exec(t, "UPDATE rolecall.organizations SET created_at = created_at - interval '1 hour'")
	user := b.person()
	lift := b.faults.Fail(http.StatusBadGateway, changes)
	require.ErrorIs(t, b.run(clerksync.Command{Actor: user, Action: clerksync.ActionWorkspaceCreated, Name: "Mine"}, ""), clerksync.ErrOutcomeUnknown)
	lift()
	_, err := b.clerk.AddMember(organization, user, clerksim.RoleMember)
	require.NoError(t, err)
	require.NoError(t, b.webhooks())
	require.Contains(t, b.entriesOf(organization), entry{"", "member.joined", user})
}

// TestRepeat_MakesNothingTwice: after the first tries, the invitation was revoked, and the
// workspace renamed. Clerk names the actors in the webhooks of the first tries, which still show
// that the commands took effect.
func TestRepeat_MakesNothingTwice(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, second, _ := b.team()
	invite := clerksync.Command{
		Actor: admin, Action: clerksync.ActionInvitationSent, OrganizationID: organization, Email: "kim@callmine.test", Role: clerksim.RoleAdmin,
	}
	create := clerksync.Command{Actor: admin, Action: clerksync.ActionWorkspaceCreated, Name: "North"}
	lift := b.faults.CutBody(changes)
	require.ErrorIs(t, b.run(invite, "invite"), clerksync.ErrOutcomeUnknown)
	require.ErrorIs(t, b.run(create, "create"), clerksync.ErrOutcomeUnknown)
	lift()
	require.NoError(t, b.webhooks())
	created := b.newest(admin)
	pending, err := b.client.PendingInvitations(t.Context(), organization, "kim@callmine.test")
	require.NoError(t, err)
	require.Len(t, pending, 1)
	invitation, err := clerksync.ObservedID(pending[0])
	require.NoError(t, err)
	require.NoError(t, b.run(clerksync.Command{Actor: second, Action: clerksync.ActionInvitationRevoked, OrganizationID: organization, Target: invitation}, ""))
	require.NoError(t, b.run(clerksync.Command{Actor: admin, Action: clerksync.ActionWorkspaceRenamed, OrganizationID: created, Target: created, Name: "South"}, ""))
	b.Exec(t, "UPDATE rolecall.commands SET begun_at = begun_at - interval '5 hours', tried_at = tried_at - interval '5 hours', sent_at = sent_at - interval '5 hours'")
	before := len(b.Audit(t))
	for key, c := range map[string]clerksync.Command{"invite": invite, "create": create} {
		var done clerksync.Command
		answer := func(_ context.Context, _ store.DBTX, d clerksync.Command) (json.RawMessage, error) {
			done = d
			return json.RawMessage(`"done"`), nil
		}
		_, _, err := b.commander.Run(t.Context(), c, store.CommandKey{Digest: []byte(key), Request: []byte("request")}, nil, answer)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"invite": invitation, "create": created}[key], done.Target)
	}
	pending, err = b.client.PendingInvitations(t.Context(), organization, "kim@callmine.test")
	require.NoError(t, err)
	require.Empty(t, pending)
	require.Equal(t, 1, b.faults.Calls()["POST /organizations"])
	require.Len(t, b.Audit(t), before)
}

// TestRepeat_IsOvertakenByLaterChange: others have changed the same object since, and the command's
// own webhook was lost.
func TestRepeat_IsOvertakenByLaterChange(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, _, member := b.team()
	promote := clerksync.Command{
		Actor: admin, Action: clerksync.ActionMemberRoleChanged, OrganizationID: organization, Target: member, Role: clerksim.RoleAdmin,
	}
	rename := clerksync.Command{
		Actor: admin, Action: clerksync.ActionWorkspaceRenamed, OrganizationID: organization, Target: organization, Name: "South",
	}
	lift := b.faults.CutBody(changes)
	require.ErrorIs(t, b.run(promote, "promote"), clerksync.ErrOutcomeUnknown)
	require.ErrorIs(t, b.run(rename, "rename"), clerksync.ErrOutcomeUnknown)
	lift()
	b.clerk.Drain() // lost
	_, err := b.clerk.SetRole(organization, member, clerksim.RoleMember)
	require.NoError(t, err)
	_, err = b.client.UpdateOrganization(t.Context(), organization, "West")
	require.NoError(t, err)
	require.ErrorIs(t, b.run(promote, "promote"), clerksync.ErrOvertaken)
	require.ErrorIs(t, b.run(rename, "rename"), clerksync.ErrOvertaken)
	require.Equal(t, clerksim.RoleMember, b.clerk.Directory().Role(organization, member))
	o, _ := b.clerk.Organization(organization)
	require.Equal(t, "West", o.Name)
}

// TestRepeat_AttributionOfFailedTryIsDropped: the same change was made in the dashboard, and Clerk
// refused the command. The repeat of the command then explains only the change that it makes
// itself.
func TestRepeat_AttributionOfFailedTryIsDropped(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, _, member := b.team()
	promote := clerksync.Command{
		Actor: admin, Action: clerksync.ActionMemberRoleChanged, OrganizationID: organization, Target: member, Role: clerksim.RoleAdmin,
	}
	inTheDashboard := func(role string) {
		_, err := b.clerk.SetRole(organization, member, role)
		require.NoError(t, err)
		require.NoError(t, b.webhooks())
	}
	lift := b.faults.FailWithRetryAfter(http.StatusTooManyRequests, "0", func(c clerksim.Call) bool {
		if changes(c) {
			inTheDashboard(clerksim.RoleAdmin)
		}
		return changes(c)
	})
	require.ErrorIs(t, b.run(promote, "key"), clerksync.ErrRateLimited)
	lift()
	inTheDashboard(clerksim.RoleMember)
	before := len(b.entriesOf(organization))
	require.NoError(t, b.run(promote, "key"))
	require.Equal(t, []entry{{admin, "member.role_changed", member}}, b.entriesOf(organization)[before:])
}

// TestCommander_UnsentCommandIsAttributedNothing: while Clerk is asked for the actor, the same
// change is made in the dashboard, and its webhook arrives. The command doesn't explain that
// change, because it wasn't sent yet.
func TestCommander_UnsentCommandIsAttributedNothing(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, second, member := b.team()
	promote := func(actor string) clerksync.Command {
		return clerksync.Command{
			Actor: actor, Action: clerksync.ActionMemberRoleChanged, OrganizationID: organization, Target: member, Role: clerksim.RoleAdmin,
		}
	}
	b.may = func(context.Context, store.DBTX) error { return nil }
	before := len(b.entriesOf(organization))
	var once sync.Once
	lift := b.faults.BeforeAnswer(func(clerksim.Call) {
		once.Do(func() {
			_, err := b.clerk.SetRole(organization, member, clerksim.RoleAdmin) // in the dashboard
			if err == nil {
				err = b.webhooks()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}, clerksim.Lookups)
	require.NoError(t, b.run(promote(admin), ""))
	lift()
	require.Equal(t, []entry{{"", "member.role_changed", member}}, b.entriesOf(organization)[before:])

	// The process of the next command dies at this point. Changes that others make meanwhile aren't
	// attributed to it. A repeat of its key starts over.
	_, _, err := store.BeginCommand(t.Context(), b.Pool, "cmd_dead", promote(second), store.CommandKey{Digest: []byte("key"), Request: []byte("request")})
	require.NoError(t, err)
	for _, role := range []string{clerksim.RoleMember, clerksim.RoleAdmin, clerksim.RoleMember} {
		_, err := b.clerk.SetRole(organization, member, role)
		require.NoError(t, err)
		require.NoError(t, b.webhooks())
	}
	b.abandon()
	before = len(b.entriesOf(organization))
	require.NoError(t, b.run(promote(second), "key"))
	require.Equal(t, clerksim.RoleAdmin, b.clerk.Directory().Role(organization, member))
	require.Equal(t, []entry{{second, "member.role_changed", member}}, b.entriesOf(organization)[before:])
}

// TestRepeat_TwoCreationsOfOneName: one user gives two such commands at once, and one is
// interrupted. Each makes a workspace of its own.
func TestRepeat_TwoCreationsOfOneName(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	user := b.person()
	create := clerksync.Command{Actor: user, Action: clerksync.ActionWorkspaceCreated, Name: "North"}
	made := map[string]bool{}
	run := func(key string) error {
		_, _, err := b.commander.Run(t.Context(), create, store.CommandKey{Digest: []byte(key), Request: []byte("request")}, nil,
			func(_ context.Context, _ store.DBTX, done clerksync.Command) (json.RawMessage, error) {
				made[done.OrganizationID] = true
				return json.RawMessage(`"done"`), nil
			},
		)
		return err
	}
	var nested atomic.Bool
	lift := b.faults.BeforeAnswer(func(clerksim.Call) { // the first is under way
		if nested.Swap(true) {
			return
		}
		cut := b.faults.CutBody(changes)
		if err := run("second"); !errors.Is(err, clerksync.ErrOutcomeUnknown) {
			t.Errorf("second: %v", err)
		}
		cut()
		if err := b.webhooks(); err != nil {
			t.Error(err)
		}
	}, changes)
	require.NoError(t, run("first"))
	lift()
	require.NoError(t, run("second"))
	require.NoError(t, b.webhooks())
	require.Len(t, made, 2)
	require.Equal(t, 2, b.faults.Calls()["POST /organizations"])
	for id := range made {
		require.ElementsMatch(t, []entry{{user, "workspace.created", id}, {user, "member.joined", user}}, b.entriesOf(id))
	}
}

// TestRepeat_AfterWorkspaceWasDeleted: the workspace was made, as its webhook showed, and was
// deleted since.
func TestRepeat_AfterWorkspaceWasDeleted(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	create := clerksync.Command{Actor: b.person(), Action: clerksync.ActionWorkspaceCreated, Name: "North"}
	lift := b.faults.CutBody(changes)
	require.ErrorIs(t, b.run(create, "key"), clerksync.ErrOutcomeUnknown)
	lift()
	require.NoError(t, b.webhooks())
	require.NoError(t, b.clerk.DeleteOrganization(b.newest(create.Actor)))
	require.NoError(t, b.webhooks())
	answer := func(ctx context.Context, db store.DBTX, done clerksync.Command) (json.RawMessage, error) {
		_, err := store.FindWorkspace(ctx, db, done.OrganizationID)
		return json.RawMessage(`"done"`), err
	}
	_, _, err := b.commander.Run(t.Context(), create, store.CommandKey{Digest: []byte("key"), Request: []byte("request")}, nil, answer)
	require.ErrorIs(t, err, clerksync.ErrGone)
	require.Equal(t, 1, b.faults.Calls()["POST /organizations"])
}

// TestRepeat_OfUnsentCommandStartsOver: changes between a try that Clerk refused and the next one
// don't count as later than the command.
func TestRepeat_OfUnsentCommandStartsOver(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, _, member := b.team()
	remove := clerksync.Command{Actor: admin, Action: clerksync.ActionMemberRemoved, OrganizationID: organization, Target: member}
	lift := b.faults.FailWithRetryAfter(http.StatusTooManyRequests, "0", changes)
	require.ErrorIs(t, b.run(remove, "key"), clerksync.ErrRateLimited)
	lift()
	b.Exec(t, "UPDATE rolecall.commands SET begun_at = begun_at - interval '5 minutes', sent_at = sent_at - interval '5 minutes'")
	require.NoError(t, b.clerk.RemoveMember(organization, member))
	_, err := b.clerk.AddMember(organization, member, clerksim.RoleMember)
	require.NoError(t, err)
	lift = b.faults.Fail(http.StatusBadGateway, changes)
	require.ErrorIs(t, b.run(remove, "key"), clerksync.ErrOutcomeUnknown)
	lift()
	require.NoError(t, b.run(remove, "key"))
	require.Empty(t, b.clerk.Directory().Role(organization, member))
}

// TestRepeat_RefusedOneIsAttributedNothing: the first try was sent long ago, and the repeat is
// refused. A change that another makes now isn't attributed to the command.
func TestRepeat_RefusedOneIsAttributedNothing(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, _, member := b.team()
	promote := clerksync.Command{
		Actor: admin, Action: clerksync.ActionMemberRoleChanged, OrganizationID: organization, Target: member, Role: clerksim.RoleAdmin,
	}
	lift := b.faults.Fail(http.StatusBadGateway, changes)
	require.ErrorIs(t, b.run(promote, "key"), clerksync.ErrOutcomeUnknown)
	lift()
	b.Exec(t, `UPDATE rolecall.commands SET begun_at = begun_at - interval '1 hour', tried_at = tried_at - interval '1 hour',
		sent_at = sent_at - interval '1 hour', last_sent_at = last_sent_at - interval '1 hour'`)
	b.may = func(context.Context, store.DBTX) error { return errors.New("not any more") }
	_, err := b.clerk.SetRole(organization, member, clerksim.RoleMember) // so that the object has changed since
	require.NoError(t, err)
	require.Error(t, b.run(promote, "key"))
	before := len(b.entriesOf(organization))
	_, err = b.clerk.SetRole(organization, member, clerksim.RoleAdmin)
	require.NoError(t, err)
	require.NoError(t, b.webhooks())
	require.Equal(t, []entry{{"", "member.role_changed", member}}, b.entriesOf(organization)[before:])
}

// TestRepeat_IsAcknowledged by the process that repeats the answer: the one that has carried the
// command out may be gone.
func TestRepeat_IsAcknowledged(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, _, member := b.team()
	remove := clerksync.Command{Actor: admin, Action: clerksync.ActionMemberRemoved, OrganizationID: organization, Target: member}
	require.NoError(t, b.run(remove, "key"))
	acknowledged := map[string]time.Time{}
	var err error
	b.commander, err = New(Config{Pool: b.Pool, Clerk: b.client, Logger: b.Logs.Logger(), Acknowledged: func(id string, first time.Time) {
		acknowledged[id] = first
	}})
	require.NoError(t, err)
	require.NoError(t, b.run(remove, "key"))
	var id string
	var begun time.Time
	require.NoError(t, b.Pool.QueryRow(t.Context(), "SELECT id, begun_at FROM rolecall.commands").Scan(&id, &begun))
	require.Len(t, acknowledged, 1)
	require.True(t, begun.Equal(acknowledged[id]), "%v isn't %v: its record ends a day after", acknowledged, begun)
}
