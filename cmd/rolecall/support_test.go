package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
	clerksync "github.com/callmine/rolecall/sync"
)

// desk is a support engineer's desk: three people in two workspaces, whose e-mail addresses, names
// and slugs are known.
type desk struct {
	*servicetest.Bundle

	env                  map[string]string
	acme, beta           string // workspaces
	ada, ben, cleo, adam string // people; Adam is in no workspace
}

func newDesk(t *testing.T) desk {
	t.Helper()
	b := servicetest.Setup(t, nil)
	d := desk{Bundle: b, env: map[string]string{"DATABASE_URL": b.Config.DatabaseURL, "CLERK_INSTANCE_ID": b.Clerk.InstanceID()}}
	user := func(first, last, email string) string {
		u, err := b.Clerk.CreateUser(clerksim.NewUser{FirstName: first, LastName: last, Emails: []string{email}})
		require.NoError(t, err)
		return u.ID
	}
	d.ada, d.ben = user("Ada", "Archer", "ada@acme.test"), user("Ben", "Baker", "ben@acme.test")
	d.cleo, d.adam = user("Cleo", "Cole", "cleo@beta.test"), user("Adam", "Archer", "adam@beta.test")
	workspace := func(name, slug, by string) string {
		o, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: name, Slug: slug, CreatedBy: by})
		require.NoError(t, err)
		return o.ID
	}
	d.acme, d.beta = workspace("Acme", "acme", d.ada), workspace("Beta", "beta", d.cleo)
	invitation, err := b.Clerk.Invite(d.acme, d.ada, "ben@acme.test", clerksim.RoleMember)
	require.NoError(t, err)
	_, err = b.Clerk.Accept(invitation.ID, d.ben)
	require.NoError(t, err)
	_, err = b.Clerk.AddMember(d.beta, d.ben, clerksim.RoleMember)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	d.past(t)
	return d
}

// printed runs a command that must succeed.
func (d desk) printed(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := runCommand(t, d.env, args...)
	require.Equal(t, exitOK, code, "%v: %s", args, errs)
	return out
}

// read runs a command with --json, and reads what it prints.
func (d desk) read(t *testing.T, into any, args ...string) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(d.printed(t, append(args, "--json")...)))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(into))
}

// records runs a command with --csv, and returns its records with their columns' names.
func (d desk) records(t *testing.T, args ...string) (records []map[string]string) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(d.printed(t, append(args, "--csv")...))).ReadAll()
	require.NoError(t, err)
	for _, row := range rows[1:] {
		record := map[string]string{}
		for i, name := range rows[0] {
			record[name] = row[i]
		}
		records = append(records, record)
	}
	return records
}

type workspacesPage struct {
	Workspaces []listedWorkspace `json:"workspaces"`
	Next       string            `json:"next"`
}

//nolint:paralleltest // the environment belongs to the process
func TestWorkspaces(t *testing.T) {
	d := newDesk(t)
	var all, page workspacesPage
	d.read(t, &all, "workspaces")
	require.Len(t, all.Workspaces, 2)
	acme := all.Workspaces[0]
	require.Equal(t, d.acme, acme.ID)
	require.Equal(t, []any{"Acme", "acme", int64(2), int64(1), false}, []any{acme.Name, *acme.Slug, acme.Members, acme.Admins, acme.AdminsAtLeast})
	require.WithinDuration(t, time.Now(), *acme.ChangedAt, time.Hour)
	require.Regexp(t, "^NAME +ID +MEMBERS +ADMINS +CHANGED AT\nAcme +"+d.acme+" +2 +1 +20[0-9-]{8}\nBeta +"+d.beta+" +2 +1 ", d.printed(t, "workspaces"))
	require.Equal(t, "Beta", d.records(t, "workspaces", "--search", "be")[0]["name"])
	d.read(t, &page, "workspaces", "--limit", "1")
	require.Equal(t, acme, page.Workspaces[0])
	next := page.Next
	page = workspacesPage{}
	d.read(t, &page, "workspaces", "--limit", "1", "--after", next)
	require.Equal(t, all.Workspaces[1:], page.Workspaces)
	require.Empty(t, page.Next)
	d.read(t, &page, "workspaces", "--all", "--limit", "1")
	require.Equal(t, all, page)
	_, _, errs := runCommand(t, d.env, "workspaces", "--limit", "1")
	require.Contains(t, errs, "There may be more: add --all, or --after ")

	code, _, errs := runCommand(t, d.env, "workspaces", "--without-admin")
	require.Equal(t, exitError, code, "an empty list would say that all is well")
	require.Contains(t, errs, "run rolecall backfill")
	for _, bad := range [][]string{{"--needs", "money"}, {"--needs", "no_manager", "--search", "a"}, {"--without-admin", "--deleted"}, {"--after", "!"}} {
		code, _, errs := runCommand(t, d.env, append([]string{"workspaces"}, bad...)...)
		require.Equal(t, exitUsage, code, "%v: %s", bad, errs)
	}
}

// TestWorkspaces_Needs lists what holds now, and not what was found and holds no more.
//
//nolint:paralleltest // the environment belongs to the process
func TestWorkspaces_Needs(t *testing.T) {
	d := newDesk(t)
	for _, sql := range []string{
		`UPDATE rolecall.needs_round SET next_at = now() + interval '1 hour'`, // first: a clean sweep lets the service's own round begin
		`UPDATE rolecall.memberships SET role = 'org:member' WHERE organization_id = (SELECT id FROM rolecall.organizations WHERE slug = 'beta')`,
		`INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, state, progress, report)
			VALUES ('interval', '', false, 'ins_1', now(), now(), 'clean', '{}', '{}')`,
		`INSERT INTO rolecall.policy_reading (read_at) VALUES (now()) ON CONFLICT (one) DO UPDATE SET read_at = now()`,
		`DELETE FROM rolecall.grants`,
		`INSERT INTO rolecall.grants VALUES ('org:admin', 'members:manage'), ('org:member', 'reports:read')`,
		`UPDATE rolecall.organizations SET max_memberships = 1`,
		`INSERT INTO rolecall.needs (organization_id, need, since, settled, members)
			SELECT id, need, '2026-01-02T15:04:05Z', true, 2 FROM rolecall.organizations, unnest(ARRAY['no_manager', 'over_seat_limit']) need`,
		`UPDATE rolecall.needs_round SET ended_at = now(), counts = '{"no_manager": 2, "over_seat_limit": 2}'`,
	} {
		_, err := d.DB.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	var without, needing workspacesPage
	d.read(t, &without, "workspaces", "--without-admin")
	d.read(t, &needing, "workspaces", "--needs", "no_manager")
	require.Equal(t, without, needing)
	require.Len(t, needing.Workspaces, 1, "Acme has Ada")
	beta := needing.Workspaces[0]
	require.Equal(t, []any{d.beta, int64(2), int64(0), false}, []any{beta.ID, beta.Members, beta.Admins, beta.AdminsAtLeast})
	require.Contains(t, beta.Needs, listedNeed{clerksync.NeedNoManager, time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)})
	require.Regexp(t, "^NAME +ID +MEMBERS +ADMINS +CHANGED AT\n +NEEDS\nBeta +"+d.beta+" +2 +0 .*\n +no_manager over_seat_limit\n$", d.printed(t, "workspaces", "--needs", "no_manager"))
	require.Contains(t, d.records(t, "workspaces", "--needs", "no_manager")[0]["needs"], "no_manager")

	var all, first, second workspacesPage
	d.read(t, &all, "workspaces", "--needs", "over_seat_limit")
	require.Len(t, all.Workspaces, 2)
	d.read(t, &first, "workspaces", "--needs", "over_seat_limit", "--limit", "1")
	d.read(t, &second, "workspaces", "--needs", "over_seat_limit", "--limit", "1", "--after", first.Next)
	require.Equal(t, all.Workspaces, append(first.Workspaces, second.Workspaces...))
	require.Empty(t, second.Next)
}

//nolint:paralleltest // the environment belongs to the process
func TestMembers(t *testing.T) {
	d := newDesk(t)
	_, err := d.Clerk.BanUser(d.ben)
	require.NoError(t, err)
	d.Send(t, d.Clerk.Drain()...)
	d.Applied(t)
	var byID, bySlug struct {
		Members []listedMember `json:"members"`
		Next    *string        `json:"next"`
	}
	d.read(t, &byID, "members", d.acme)
	d.read(t, &bySlug, "members", "acme")
	require.Equal(t, byID, bySlug)
	require.Nil(t, byID.Next)
	require.Len(t, byID.Members, 2)
	of := func(id string) listedMember {
		return byID.Members[slices.IndexFunc(byID.Members, func(m listedMember) bool { return m.UserID == id })]
	}
	ben := of(d.ben)
	require.Equal(t, []string{d.ben, "ben@acme.test", "Ben Baker", clerksim.RoleMember, "banned", d.ada, "ada@acme.test"},
		[]string{ben.UserID, *ben.Identifier, ben.Name, ben.Role, ben.Status, ben.InvitedBy.ID, *ben.InvitedBy.Identifier})
	require.Nil(t, of(d.ada).InvitedBy)
	out := d.printed(t, "members", "acme")
	require.True(t, strings.HasPrefix(out, "Acme  "+d.acme+"\nIDENTIFIER "), out)
	require.Contains(t, out, "banned")
	require.Contains(t, d.records(t, "members", "acme"), map[string]string{
		"user_id": d.ben, "identifier": "ben@acme.test", "name": "Ben Baker", "role": clerksim.RoleMember, "status": "banned", "invited_by": d.ada,
		"since": ben.Since.Format(time.RFC3339Nano), "manages": "false",
	})
	require.True(t, of(d.ada).Manages)
	require.False(t, ben.Manages)
	require.Regexp(t, "MANAGES\n(.|\n)*yes", out)
	code, _, errs := runCommand(t, d.env, "members", "nowhere")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, `"nowhere"`)

	managers := d.records(t, "members", "acme", "--may", "members:manage")
	require.Len(t, managers, 1)
	require.Equal(t, []string{d.ada, "true"}, []string{managers[0]["user_id"], managers[0]["manages"]})
	code, _, errs = runCommand(t, d.env, "members", "acme", "--may", "members:manage")
	require.Equal(t, exitOK, code)
	require.Contains(t, errs, "is by ", "whose policy it is")
	for _, wrong := range []string{"members:mange", "a\x00b"} {
		code, _, errs = runCommand(t, d.env, "members", "acme", "--may", wrong)
		require.Equal(t, exitUsage, code, "an empty list would say that nobody may: %s", errs)
	}
	_, err = d.DB.Exec(t.Context(), "INSERT INTO rolecall.grants VALUES ('org:boss', 'yachts:sail')")
	require.NoError(t, err)
	require.Empty(t, d.records(t, "members", "acme", "--may", "yachts:sail"))
}

// TestUnknownDateOfJoining_IsNoDay of 1970: Clerk hasn't said when. The list goes on behind it all
// the same.
//
//nolint:paralleltest // the environment belongs to the process
func TestUnknownDateOfJoining_IsNoDay(t *testing.T) {
	d := newDesk(t)
	_, err := d.DB.Exec(t.Context(), "UPDATE rolecall.memberships SET created_at = 'epoch'")
	require.NoError(t, err)
	type page struct {
		Members []listedMember `json:"members"`
		Next    *string        `json:"next"`
	}
	var first, second page
	d.read(t, &first, "members", "acme", "--limit", "1")
	d.read(t, &second, "members", "acme", "--limit", "1", "--after", *first.Next)
	require.Nil(t, first.Members[0].Since)
	require.Nil(t, second.Members[0].Since)
	require.Nil(t, second.Next)
	require.NotEqual(t, first.Members[0].UserID, second.Members[0].UserID)
	require.Empty(t, d.records(t, "members", "acme")[0]["since"])
	var user shownUser
	d.read(t, &user, "user", d.ben)
	require.Len(t, user.Workspaces, 2)
	require.Nil(t, user.Workspaces[0].Since)
	require.NoError(t, d.Clerk.RemoveMember(d.beta, d.ben))
	d.Send(t, d.Clerk.Drain()...)
	d.Applied(t)
	_, err = d.DB.Exec(t.Context(), "UPDATE rolecall.memberships SET created_at = 'epoch'")
	require.NoError(t, err)
	user = shownUser{}
	d.read(t, &user, "user", d.ben)
	require.Nil(t, user.Former[0].Since)
	require.NotContains(t, d.printed(t, "user", d.ben)+d.printed(t, "members", "acme")+d.printed(t, "user", d.ben, "--csv"), "1970")
}

// TestAfter_TakesCursorsOfItsOwnListOnly: those of another list would be places at random, or texts
// that the database refuses.
//
//nolint:paralleltest // the environment belongs to the process
func TestAfter_TakesCursorsOfItsOwnListOnly(t *testing.T) {
	d := newDesk(t)
	lists := [][]string{
		{"workspaces"},
		{"members", "acme"},
		{"members", "beta"},
		{"audit", "list"},
		{"audit", "list", "--workspace", "acme"},
		{"audit", "list", "--workspace", "beta"},
		{"deliveries", "list"},
	}
	cursors := make([]string, len(lists))
	for i, list := range lists {
		var page struct {
			Next string `json:"next"`
		}
		require.NoError(t, json.Unmarshal([]byte(d.printed(t, append(list, "--limit", "1", "--json")...)), &page))
		require.NotEmpty(t, page.Next, list)
		cursors[i] = page.Next
	}
	for i, list := range lists {
		for j, cursor := range cursors {
			code, out, errs := runCommand(t, d.env, append(list, "--json", "--after", cursor)...)
			if i == j {
				require.Equal(t, exitOK, code, errs)
				continue
			}
			require.Equal(t, exitUsage, code, "%v took a cursor of %v: %s", list, lists[j], errs)
			require.Empty(t, out)
		}
	}
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(policy, []byte("roles:\n  org:boss: [members:manage]\n"), 0o600))
	for _, list := range []string{"--members", "--without-manager"} {
		for j, cursor := range cursors[:2] {
			code, _, errs := runCommand(t, d.env, "policy", "diff", policy, list, "--after", cursor)
			require.Equal(t, exitUsage, code, "%s took a cursor of %v: %s", list, lists[j], errs)
			require.Contains(t, errs, "another list")
		}
	}
	for _, none := range []string{"!", "MTI6NA", "Og", "Ojo", "d29ya3NwYWNlczo"} {
		code, _, errs := runCommand(t, d.env, "workspaces", "--after", none)
		require.Equal(t, exitUsage, code, errs)
	}
}

// TestUser_OfManyWorkspaces says what isn't listed, and lists it if it is asked to.
//
//nolint:paralleltest // the environment belongs to the process
func TestUser_OfManyWorkspaces(t *testing.T) {
	d := newDesk(t)
	for _, sql := range []string{
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at)
			SELECT 'orgmem_m' || n, 'org_m' || n, (SELECT id FROM rolecall.users WHERE identifier = 'adam@beta.test'), 'org:member', '2026-01-01'
			FROM generate_series(1, 2001) n`,
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at, deleted_at)
			SELECT 'orgmem_f' || n, 'org_f' || n, (SELECT id FROM rolecall.users WHERE identifier = 'adam@beta.test'), 'org:member', '2026-01-01', '2026-01-02'
			FROM generate_series(1, 21) n`,
	} {
		_, err := d.DB.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	const all = 2001
	var some, whole shownUser
	d.read(t, &some, "user", d.adam)
	require.Len(t, some.Workspaces, mostListed)
	require.True(t, some.More)
	require.Len(t, some.Former, mostFormer)
	require.True(t, some.MoreFormer)
	d.read(t, &whole, "user", d.adam, "--all")
	require.Len(t, whole.Workspaces, all)
	require.False(t, whole.More)
	distinct := map[string]bool{}
	for _, w := range whole.Workspaces {
		distinct[w.WorkspaceID] = true
	}
	require.Len(t, distinct, all)
	for _, as := range [][]string{{}, {"--csv"}} {
		_, _, errs := runCommand(t, d.env, append([]string{"user", d.adam}, as...)...)
		require.Contains(t, errs, "more workspaces than these 1000: add --all", "%v", as)
		require.Equal(t, len(as) == 0, strings.Contains(errs, "Older former memberships"), "CSV has none at all")
		_, _, errs = runCommand(t, d.env, append([]string{"user", d.adam, "--all"}, as...)...)
		require.NotContains(t, errs, "more workspaces")
	}
	_, _, errs := runCommand(t, d.env, "user", d.ben)
	require.Empty(t, errs)
}

//nolint:paralleltest // the environment belongs to the process
func TestUser(t *testing.T) {
	d := newDesk(t)
	session, err := d.Clerk.CreateSession(clerksim.NewSession{UserID: d.ben})
	require.NoError(t, err)
	_, err = d.Clerk.EndSession(session.ID)
	require.NoError(t, err)
	require.NoError(t, d.Clerk.RemoveMember(d.beta, d.ben))
	d.Send(t, d.Clerk.Drain()...)
	d.Applied(t)
	var user shownUser
	d.read(t, &user, "user", "ben@acme.test")
	require.Equal(t, d.ben, user.ID)
	require.Equal(t, "Ben Baker", user.Name)
	require.Empty(t, user.Status)
	require.EqualValues(t, 1, user.SessionsEnded.Count)
	require.Len(t, user.Workspaces, 1)
	require.Equal(t, []string{d.acme, "Acme", clerksim.RoleMember}, []string{user.Workspaces[0].WorkspaceID, user.Workspaces[0].Name, user.Workspaces[0].Role})
	require.Len(t, user.Former, 1)
	require.Equal(t, d.beta, user.Former[0].WorkspaceID)
	require.Equal(t, "member.removed", user.Entries[0].Action)
	require.Equal(t, "Beta", *user.Entries[0].WorkspaceName)
	out := d.printed(t, "user", d.ben)
	for _, part := range []string{"ben@acme.test", "active", "1 in the last 8 days", "\nWorkspaces\nNAME ", "Former memberships", "member.removed"} {
		require.Contains(t, out, part)
	}
	require.NotContains(t, out, "TARGET", "it is the user")
	require.Equal(t, d.acme, d.records(t, "user", "Ben Baker")[0]["workspace_id"])

	code, _, errs := runCommand(t, d.env, "user", "Ada")
	require.Equal(t, exitUsage, code, "Ada and Adam")
	require.Contains(t, errs, d.ada)
	require.Contains(t, errs, d.adam)
	code, _, errs = runCommand(t, d.env, "user", "zoe@acme.test")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "zoe@acme.test")
}

type auditPageBody struct {
	Entries []auditEntry `json:"entries"`
	Next    string       `json:"next"`
}

//nolint:paralleltest // the environment belongs to the process
func TestAudit_List(t *testing.T) {
	d := newDesk(t)
	for _, of := range [][]string{{}, {"--workspace", "acme"}} {
		var all, page auditPageBody
		d.read(t, &all, append([]string{"audit", "list"}, of...)...)
		require.Greater(t, len(all.Entries), 3)
		var paged []auditEntry
		for next := ""; ; next = page.Next {
			page = auditPageBody{}
			args := append([]string{"audit", "list", "--limit", "2"}, of...)
			if next != "" {
				args = append(args, "--after", next)
			}
			d.read(t, &page, args...)
			paged = append(paged, page.Entries...)
			if page.Next == "" {
				break
			}
		}
		require.Equal(t, all.Entries, paged, "pages are the list")
	}
	var added auditPageBody
	d.read(t, &added, "audit", "list", "--action", "member.joined", "--target", "ben@acme.test", "--since", "1h", "--workspace", d.acme)
	require.Len(t, added.Entries, 1)
	e := added.Entries[0]
	require.Equal(t, []string{d.acme, "Acme", d.ben, "ben@acme.test"}, []string{*e.WorkspaceID, *e.WorkspaceName, e.Target, *e.TargetName})
	require.Nil(t, e.Actor)
	require.NotEmpty(t, e.Origin.ClientIP, "of the request to Clerk")
	require.Equal(t, *e.Origin.UserAgent, d.records(t, "audit", "list", "--action", "member.joined", "--target", d.ben, "--workspace", d.acme)[0]["user_agent"])
	var none auditPageBody
	d.read(t, &none, "audit", "list", "--actor", "service:reports")
	require.NotNil(t, none.Entries)
	require.Empty(t, none.Entries)
	d.read(t, &none, "audit", "list", "--actor", "operator:ada")
	require.Empty(t, none.Entries)
	d.read(t, &none, "audit", "list", "--action", "report.run")
	require.Empty(t, none.Entries, "a product's action may come later")
	_, _, errs := runCommand(t, d.env, "audit", "list", "--action", "member.remvoed")
	require.Contains(t, errs, "member.left, member.removed")
	d.read(t, &none, "audit", "list", "--until", "7d")
	require.Empty(t, none.Entries)
	require.Contains(t, d.printed(t, "audit", "list"), "Clerk doesn't say")
	require.Contains(t, d.printed(t, "audit", "list", "--workspace", "beta"), "  "+d.ben+"  ben@acme.test\n")
	require.Equal(t, "Beta", d.records(t, "audit", "list", "--workspace", "beta", "--action", "workspace.created")[0]["workspace_name"])
	for _, bad := range [][]string{
		{"--actor", "nobody@acme.test"},
		{"--since", "someday"},
		{"--follow", "--until", "1h"},
		{"--after", "MTI6NA"},
		{"--action", "member.remvoed"},
		{"--action", "member"},
		{"--action", "operator.sweep_orderd"},
	} {
		code, _, errs := runCommand(t, d.env, append([]string{"audit", "list"}, bad...)...)
		require.Equal(t, exitUsage, code, "%v: %s", bad, errs)
	}
}

// TestFollow_PrintsWhatArrivesUntilCtrlC follows deliveries and entries beside a running service.
//
//nolint:paralleltest // the environment belongs to the process
func TestFollow_PrintsWhatArrivesUntilCtrlC(t *testing.T) {
	d := newDesk(t)
	d.printed(t, "version") // sets the environment: none of it is left
	for name, value := range d.env {
		t.Setenv(name, value)
	}
	for _, followed := range []struct {
		args []string
		want string // of what arrives
	}{
		{[]string{"deliveries", "list", "--limit", "1"}, "organizationMembership.updated"},
		{[]string{"deliveries", "list", "--json", "--user", "ben@acme.test"}, `"event_type":"organizationMembership.updated"`},
		{[]string{"audit", "list", "--limit", "1", "--workspace", "acme"}, "member.role_changed"},
		{[]string{"audit", "list", "--csv"}, "member.role_changed"},
		{[]string{"changes", "--limit", "1"}, "member.role_changed"},
		{[]string{"changes", "--workspace", "acme", "--json"}, `"kind":"member.role_changed"`},
	} {
		role := map[string]string{clerksim.RoleMember: clerksim.RoleAdmin, clerksim.RoleAdmin: clerksim.RoleMember}[d.Clerk.Directory().Role(d.acme, d.ben)]
		ctx, interrupt := context.WithCancel(t.Context())
		out, errs := &testlog.Lines{}, &testlog.Lines{}
		done := make(chan int, 1)
		go func() { done <- run(ctx, append(followed.args, "--follow"), streams{out: out, err: errs}) }()
		servicetest.Eventually(t, func() bool { return out.String() != "" || len(done) > 0 }, "it prints what is there")
		before := strings.Count(out.String(), followed.want)
		_, err := d.Clerk.SetRole(d.acme, d.ben, role)
		require.NoError(t, err)
		d.Send(t, d.Clerk.Drain()...)
		servicetest.Eventually(t, func() bool { return strings.Count(out.String(), followed.want) > before || len(done) > 0 }, followed.want)
		interrupt()
		require.Equal(t, exitOK, <-done, errs.String())
		require.Empty(t, errs.String())
		if slices.Contains(followed.args, "--json") {
			for l := range strings.Lines(out.String()) {
				require.True(t, json.Valid(bytes.TrimSpace([]byte(l))), l)
			}
		}
	}
}

//nolint:paralleltest // the environment belongs to the process
func TestStatus_CheckFailsOnAnAlarm(t *testing.T) {
	b := sweeping(t, 3)
	for _, as := range [][]string{{"status", "--check"}, {"status", "--check", "--json"}} {
		code, out, errs := runCommand(t, b.env, as...)
		require.Equal(t, exitError, code)
		require.Contains(t, out, "never_swept")
		require.Contains(t, errs, "alarm: never_swept")
	}
	b.report(t, exitOK, "backfill")
	code, _, errs := runCommand(t, b.env, "status", "--check")
	require.Equal(t, exitOK, code, errs)
}

// TestInterrupted_IsNoSuccess: a check or a list that was stopped halfway doesn't look whole. One
// that is followed has no end.
func TestInterrupted_IsNoSuccess(t *testing.T) {
	t.Setenv("DATABASE_URL", pgtest.URL(t))
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, args := range [][]string{{"status", "--check"}, {"audit", "verify"}, {"access-review", "--csv"}, {"migrate"}} {
		var errs bytes.Buffer
		require.Equal(t, exitError, run(ctx, args, streams{out: io.Discard, err: &errs}), args)
		require.Contains(t, errs.String(), "interrupted: ", args)
	}
	for _, list := range [][]string{{"deliveries", "list"}, {"audit", "list"}, {"changes"}} {
		var errs bytes.Buffer
		require.Equal(t, exitOK, run(ctx, append(list, "--follow"), streams{out: io.Discard, err: &errs}), errs.String())
	}
}
