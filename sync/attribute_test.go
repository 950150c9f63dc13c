package sync_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestAttribute says which command an entry is attributed to.
func TestAttribute(t *testing.T) {
	t.Parallel()
	open := func(id, actor string, action clerksync.Action, organization, target, result string) clerksync.OpenCommand {
		return clerksync.OpenCommand{ID: id, Result: result, Command: clerksync.Command{
			Actor: actor, Action: action, OrganizationID: organization, Target: target,
		}}
	}
	changed := func(organization, target, role, cause string) clerksync.AuditEntry {
		return clerksync.AuditEntry{
			OrganizationID: organization, Action: clerksync.ActionMemberRoleChanged, Target: target, After: clerksync.Details{"role": role}, Cause: cause,
		}
	}
	removed := clerksync.AuditEntry{OrganizationID: "org_1", Action: clerksync.ActionMemberRemoved, Target: "user_2"}
	created := func(organization string) clerksync.AuditEntry {
		return clerksync.AuditEntry{
			OrganizationID: organization, Action: clerksync.ActionWorkspaceCreated, Target: organization, After: clerksync.Details{"name": "North"},
		}
	}
	joined := clerksync.AuditEntry{OrganizationID: "org_1", Action: clerksync.ActionMemberJoined, Target: "user_1"}
	byClerk := clerksync.AuditEntry{OrganizationID: "org_1", Action: clerksync.ActionMemberRemoved, Target: "user_2", Actor: "user_9"}
	promote := open("cmd_1", "user_1", clerksync.ActionMemberRoleChanged, "org_1", "user_2", "org:admin")
	for name, c := range map[string]struct {
		entries []clerksync.AuditEntry
		open    []clerksync.OpenCommand
		actors  []string
		used    []string
	}{
		"its change":           {[]clerksync.AuditEntry{changed("org_1", "user_2", "org:admin", "msg_1")}, []clerksync.OpenCommand{promote}, []string{"user_1"}, []string{"cmd_1"}},
		"another organization": {[]clerksync.AuditEntry{changed("org_2", "user_2", "org:admin", "msg_1")}, []clerksync.OpenCommand{promote}, []string{""}, nil},
		"another target":       {[]clerksync.AuditEntry{changed("org_1", "user_3", "org:admin", "msg_1")}, []clerksync.OpenCommand{promote}, []string{""}, nil},
		"another role":         {[]clerksync.AuditEntry{changed("org_1", "user_2", "org:clerk", "msg_1")}, []clerksync.OpenCommand{promote}, []string{""}, nil},
		"another action":       {[]clerksync.AuditEntry{removed}, []clerksync.OpenCommand{promote}, []string{""}, nil},
		"once": {
			[]clerksync.AuditEntry{changed("org_1", "user_2", "org:admin", "msg_1"), changed("org_1", "user_2", "org:admin", "msg_2")},
			[]clerksync.OpenCommand{promote},
			[]string{"user_1", ""},
			[]string{"cmd_1"},
		},
		"the one that tells, not the oldest": {
			[]clerksync.AuditEntry{changed("org_1", "user_2", "org:admin", "cmd_2")},
			[]clerksync.OpenCommand{promote, open("cmd_2", "user_4", clerksync.ActionMemberRoleChanged, "org_1", "user_2", "org:admin")},
			[]string{"user_4"},
			[]string{"cmd_2"},
		},
		"what Clerk signed": {
			[]clerksync.AuditEntry{byClerk},
			[]clerksync.OpenCommand{open("cmd_1", "user_1", clerksync.ActionMemberRemoved, "org_1", "user_2", "")},
			[]string{"user_9"},
			nil,
		},
		"what Clerk signed with the actor of the command": {
			[]clerksync.AuditEntry{byClerk},
			[]clerksync.OpenCommand{open("cmd_1", "user_9", clerksync.ActionMemberRemoved, "org_1", "user_2", "")},
			[]string{"user_9"},
			[]string{"cmd_1"},
		},
		"one that may stand for two": {
			[]clerksync.AuditEntry{created("org_1"), created("org_2")},
			[]clerksync.OpenCommand{
				open("cmd_1", "user_1", clerksync.ActionWorkspaceCreated, "org_1", "", "North"),
				open("cmd_1", "user_1", clerksync.ActionWorkspaceCreated, "org_2", "", "North"),
			},
			[]string{"user_1", ""},
			[]string{"cmd_1"},
		},
		"which of two, Clerk doesn't say": {
			[]clerksync.AuditEntry{{
				OrganizationID: "org_1", Action: clerksync.ActionWorkspaceCreated, Target: "org_1", Actor: "user_1", After: clerksync.Details{"name": "North"},
			}},
			[]clerksync.OpenCommand{
				open("cmd_1", "user_1", clerksync.ActionWorkspaceCreated, "org_1", "", "North"),
				open("cmd_2", "user_1", clerksync.ActionWorkspaceCreated, "org_1", "", "North"),
			},
			[]string{"user_1"},
			nil,
		},
		"one that has signed": {
			[]clerksync.AuditEntry{changed("org_1", "user_2", "org:admin", "msg_1")},
			[]clerksync.OpenCommand{{ID: promote.ID, Result: promote.Result, Command: promote.Command, Audited: true}},
			[]string{""},
			nil,
		},
		"creator joins": {
			[]clerksync.AuditEntry{joined},
			[]clerksync.OpenCommand{open("cmd_1", "user_1", clerksync.ActionWorkspaceCreated, "org_1", "", "North")},
			[]string{"user_1"},
			nil,
		},
		"creator of another": {
			[]clerksync.AuditEntry{joined},
			[]clerksync.OpenCommand{open("cmd_1", "user_1", clerksync.ActionWorkspaceCreated, "org_2", "org_2", "North")},
			[]string{""},
			nil,
		},
	} {
		attributed, attributions := clerksync.Attribute(c.entries, c.open)
		var used []string
		for _, s := range attributions {
			used = append(used, s.CommandID)
		}
		require.Equal(t, c.used, used, name)
		for i, e := range attributed {
			require.Equal(t, c.actors[i], e.Actor, name)
		}
	}
	left, _ := clerksync.Attribute([]clerksync.AuditEntry{removed}, []clerksync.OpenCommand{
		open("cmd_1", "user_2", clerksync.ActionMemberRemoved, "org_1", "user_2", ""),
	})
	require.Equal(t, clerksync.ActionMemberLeft, left[0].Action)
	require.Equal(t, clerksync.ActionMemberRemoved, removed.Action, "the caller's entries stay as they are")
}

// TestAttribute_NamesTheImpersonator of the command that made the change, also of a creation by
// which its creator joined.
func TestAttribute_NamesTheImpersonator(t *testing.T) {
	t.Parallel()
	command := func(id string, action clerksync.Action, target, impersonator string) clerksync.OpenCommand {
		return clerksync.OpenCommand{ID: id, Command: clerksync.Command{
			Actor: "user_1", Impersonator: impersonator, Action: action, OrganizationID: "org_1", Target: target,
		}}
	}
	entries := []clerksync.AuditEntry{
		{OrganizationID: "org_1", Action: clerksync.ActionMemberRemoved, Target: "user_2"},
		{OrganizationID: "org_1", Action: clerksync.ActionMemberRemoved, Target: "user_3", Actor: "user_1"}, // as Clerk says
		{OrganizationID: "org_1", Action: clerksync.ActionMemberJoined, Target: "user_1"},
		{OrganizationID: "org_1", Action: clerksync.ActionMemberRemoved, Target: "user_4"},
	}
	attributed, _ := clerksync.Attribute(entries, []clerksync.OpenCommand{
		command("cmd_1", clerksync.ActionMemberRemoved, "user_2", "user_8"),
		command("cmd_2", clerksync.ActionMemberRemoved, "user_3", "user_9"),
		command("cmd_3", clerksync.ActionWorkspaceCreated, "org_1", "user_7"),
		command("cmd_4", clerksync.ActionMemberRemoved, "user_4", ""),
	})
	var named []string
	for _, e := range attributed {
		require.Equal(t, "user_1", e.Actor)
		named = append(named, e.Impersonator)
	}
	require.Equal(t, []string{"user_8", "user_9", "user_7", ""}, named)
}
