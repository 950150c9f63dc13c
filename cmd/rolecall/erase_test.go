package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/jobs"
)

// person is someone whose texts occur nowhere else.
type person struct{ first, last, email, second, phone, username, metadata string }

func (p person) user() clerksim.NewUser {
	return clerksim.NewUser{
		FirstName: p.first, LastName: p.last, Emails: []string{p.email, p.second}, Phone: p.phone, Username: p.username,
		PublicMetadata: json.RawMessage(fmt.Sprintf(`{"nickname":%q}`, p.metadata)), UnsafeMetadata: json.RawMessage(fmt.Sprintf(`{"hobby":["%s-hobby"]}`, p.metadata)),
	}
}

// texts are all that must not be left, in lower case.
func (p person) texts() []string {
	local, _, _ := strings.Cut(p.email, "@")
	return []string{
		p.first, p.last, p.email, p.second, local, strings.TrimPrefix(p.phone, "+"), p.username, p.metadata,
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(p.email)), "="),
	}
}

// dump returns the whole database as text, in lower case.
func dump(t *testing.T, url string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), pgtest.ClientProgram(t, "pg_dump"), "--dbname", url)
	var errs strings.Builder
	command.Stderr = &errs
	out, err := command.Output()
	require.NoError(t, err, &errs)
	return strings.ToLower(string(out))
}

// requireIn requires that a dump has a text, and doesn't print the dump.
func requireIn(t *testing.T, dump, text, message string, args ...any) {
	t.Helper()
	found := strings.Contains(dump, text)
	require.True(t, found, append([]any{message}, args...)...)
}

// TestErase_LeavesNothingInADump: a person is everywhere that a person can be. After the erasure a
// dump has none of the person's texts, and still the other person's; the log verifies, and shows
// later changes.
//
//nolint:paralleltest // the environment belongs to the process
func TestErase_LeavesNothingInADump(t *testing.T) {
	url := pgtest.URL(t)
	pgtest.ClientProgram(t, "pg_dump")
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, servicetest.AsksClerk)
	b.Open(t, url)
	ada := person{"Adelheid", "Quitzdorff", "adelheid.quitzdorff@mail.test", "heidi-private@home.test", "+15550100123", "quitzi_heidi", "mopsfreundin"}
	bob := person{"Bartholomew", "Zwingenberg", "bart.zwingenberg@mail.test", "barty-private@home.test", "+15550100456", "zwingi_bart", "katzenfreund"}
	var ids [2]string
	for i, p := range []person{ada, bob} {
		user, err := b.Clerk.CreateUser(p.user())
		require.NoError(t, err)
		ids[i] = user.ID
	}
	boss, err := b.Clerk.CreateUser(clerksim.NewUser{FirstName: "Boss", Emails: []string{"boss@firm.test"}})
	require.NoError(t, err)
	workspace, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: "Firm", CreatedBy: boss.ID})
	require.NoError(t, err)
	other, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: "Other", CreatedBy: boss.ID})
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	bossToken := b.Token(t, boss.ID)
	path := "/v1/workspaces/" + workspace.ID
	var again []clerksim.Message // about an invitation that only the address makes the person's, and about a workspace called after the person
	var called, gone [2]string   // workspaces called after the people
	for i, p := range []person{ada, bob} {
		status, invited := b.Say(t, bossToken, http.MethodPost, path+"/invitations", fmt.Sprintf(`{"email":%q,"role":"org:member"}`, strings.ToUpper(p.email[:1])+p.email[1:]))
		require.Equal(t, http.StatusCreated, status, invited)
		_, err := b.Clerk.Accept(invited["id"].(string), ids[i])
		require.NoError(t, err)
		_, err = b.Clerk.SetRole(workspace.ID, ids[i], clerksim.RoleAdmin)
		require.NoError(t, err)
		_, err = b.Clerk.Invite(workspace.ID, ids[i], fmt.Sprint("friend", i, "@firm.test"), clerksim.RoleMember) // the inviter's name is in the body
		require.NoError(t, err)
		_, err = b.Clerk.Invite(other.ID, boss.ID, p.second, clerksim.RoleMember) // pending, and found by the address alone
		require.NoError(t, err)
		sent := b.Clerk.Drain()
		b.Send(t, sent...)
		for _, m := range sent {
			if i == 0 && strings.Contains(string(m.Body), p.second) && !strings.Contains(string(m.Body), ids[i]) {
				m.ID += "_late"
				again = append(again, m)
			}
		}
		status, _ = b.Say(t, b.Token(t, ids[i]), http.MethodPatch, path+"/members/"+ids[i], `{"role":"org:member"}`)
		require.Equal(t, http.StatusOK, status)
		for _, event := range []string{
			fmt.Sprintf(`{"actor":%q,"action":"report.run","target":"report_81","data":{"by":"%s %s","to":[%q],"rows":1200,"tel":%s,%q:1}}`, ids[i], p.first, p.last, p.email, p.phone[1:], p.second),
			fmt.Sprintf(`{"action":"mail.sent","target":%q,"data":{"note":"Hello, \u0042 %s!","cc":"%s"}}`, p.email, strings.ToUpper(p.first+" "+p.last), strings.ToUpper(p.second)),
			fmt.Sprintf(`{"action":"profile.seen","target":%q,"data":{"name":%q,"nick":"the %s!","other":"kept-%d"}}`, ids[i], p.last, p.metadata, i),
		} {
			require.Equal(t, http.StatusCreated, appendEvent(t, b, workspace.ID, event))
		}
		_, err = b.DB.Exec(t.Context(), `INSERT INTO rolecall.audit_log (organization_id, actor, action, target, data, at, cause)
			VALUES ('', 'operator:ops', 'operator.exported', '/users', json_build_object('q', $1::text, 'name', $2::text), now(), 'console')`, p.email, p.first)
		require.NoError(t, err)
		_, err = b.DB.Exec(t.Context(), `INSERT INTO rolecall.river_job (args, kind, max_attempts, errors, state, finalized_at)
			VALUES ('{}', 'x', 1, ARRAY[jsonb_build_object('error', 'bad value ' || $1::text, 'attempt', 1, 'at', now(), 'trace', '')], 'discarded', now())`, p.email)
		require.NoError(t, err)
		name, slug := p.first+" "+p.last, strings.ToLower(p.first+"-"+p.last)
		living, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: name + "'s Workspace", Slug: slug + "s-workspace", CreatedBy: ids[i]})
		require.NoError(t, err)
		dead, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: "Team " + name, Slug: slug + "-team", CreatedBy: boss.ID})
		require.NoError(t, err)
		called[i], gone[i] = living.ID, dead.ID
		b.Send(t, b.Clerk.Drain()...)
		renamed := "Old team of " + strings.ToUpper(name)
		_, err = b.Clerk.UpdateOrganization(dead.ID, clerksim.OrganizationUpdate{Name: &renamed})
		require.NoError(t, err)
		lateTeam := b.Clerk.Drain()
		require.NoError(t, b.Clerk.DeleteOrganization(dead.ID))
		sent = b.Clerk.Drain()
		b.Send(t, sent...)
		if i == 0 {
			deletion := sent[len(sent)-1]
			require.Contains(t, string(deletion.Body), slug, "it has the slug, and no user")
			deletion.ID += "_late"
			again = append(append(again, lateTeam...), deletion)
		}
		_, err = b.Clerk.BanUser(ids[i])
		require.NoError(t, err)
		_, err = b.Clerk.UnbanUser(ids[i])
		require.NoError(t, err)
	}
	late := b.Clerk.Drain()
	held, late := late[len(late)-1], late[:len(late)-1]
	b.Send(t, late...)
	_, err = b.DB.Exec(t.Context(), "UPDATE rolecall.deliveries SET state = 'quarantined', last_error = 'what ' || $2::text WHERE svix_id IN (SELECT svix_id FROM rolecall.deliveries WHERE strpos(body, $1) > 0 LIMIT 1)", ids[0], ada.email)
	require.NoError(t, err)
	env := map[string]string{"DATABASE_URL": url, "CLERK_SECRET_KEY": b.Clerk.SecretKey(), "CLERK_API_URL": b.API, "ROLECALL_CLERK_RATE": "1000"}
	run := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := runCommand(t, env, args...)
		require.Equal(t, want, code, out+errs)
		return out + errs
	}
	run(exitOK, "backfill")
	before := dump(t, url)
	for _, text := range append(ada.texts()[:7], bob.texts()[:7]...) {
		requireIn(t, before, strings.ToLower(text), "%s: the test shows nothing otherwise", text)
	}

	require.Contains(t, run(exitError, "erase", ids[0], "--yes"), "isn't deleted at Clerk")
	update := "Late-" + ada.first
	_, err = b.Clerk.UpdateUser(ids[0], clerksim.UserUpdate{FirstName: &update})
	require.NoError(t, err)
	lateUpdate := b.Clerk.Drain()
	require.NoError(t, b.Clerk.DeleteUser(ids[0]))
	b.Send(t, b.Clerk.Drain()...)
	require.Contains(t, run(exitUsage, "erase", ids[0]), "--dry-run")
	would := run(exitOK, "erase", ids[0], "--dry-run")
	require.Contains(t, would, "would be erased")
	require.Contains(t, would, "may be about the person: "+called[0]+"\nChange them at Clerk")
	requireIn(t, dump(t, url), strings.ToLower(ada.last), "a dry run erases nothing")
	firm, slug := "Renamed firm", "renamed-firm"
	_, err = b.Clerk.UpdateOrganization(called[0], clerksim.OrganizationUpdate{Name: &firm, Slug: &slug})
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	var erased shownErasure
	require.NoError(t, json.Unmarshal([]byte(run(exitOK, "erase", ids[0], "--yes", "--json")), &erased))
	require.GreaterOrEqual(t, erased.Entries, 6)
	require.Positive(t, erased.Bodies)
	require.Equal(t, 1, erased.Workspaces)
	require.Empty(t, erased.ToCheck)
	requireNone := func() {
		t.Helper()
		after := dump(t, url)
		for _, text := range ada.texts() {
			at := strings.Index(after, strings.ToLower(text))
			require.Equal(t, -1, at, "%s is left: …%s…", text, after[max(0, at-300):min(len(after), max(at, 0)+200)])
		}
		for _, text := range bob.texts()[:7] {
			requireIn(t, after, strings.ToLower(text), "%s of the other person is gone", text)
		}
		requireIn(t, after, strings.ToLower(ids[0]), "ids stay")
		requireIn(t, after, "kept-0", "and so does what isn't the person's")
		requireIn(t, after, "renamed firm", "a living workspace is called as Clerk says")
		requireIn(t, after, strings.ToLower(gone[0]), "a deleted workspace has its id")
	}
	requireNone()

	// Nothing comes back: a late delivery, a replay, a sweep, and a second erasure.
	require.NotEmpty(t, again)
	b.Send(t, slices.Concat(lateUpdate, again, []clerksim.Message{held})...)
	run(exitOK, "reconcile")
	eraseLate(t, b)
	requireNone()
	run(exitOK, "erase", ids[0], "--yes")
	requireNone()

	var verified verifiedAudit
	require.NoError(t, json.Unmarshal([]byte(run(exitOK, "audit", "verify", "--json")), &verified))
	require.Empty(t, verified.Broken)
	require.EqualValues(t, erased.Entries, verified.Erased)
	require.NoError(t, json.Unmarshal([]byte(run(exitOK, "audit", "verify", "--json", "--workspace", workspace.ID)), &verified))
	require.EqualValues(t, 2, verified.Chains, "with the instance's chain, which vouches")
	require.Equal(t, http.StatusForbidden, b.May(t, b.Token(t, ids[1]), workspace.ID, "members:manage"), "the mirror answers")

	for _, forged := range []string{
		"UPDATE rolecall.audit_log SET data = '{}' WHERE target = 'report_81' AND erased_by IS NOT NULL",
		"UPDATE rolecall.audit_log SET actor = 'user_x' WHERE target = 'report_81' AND erased_by IS NULL",
		"UPDATE rolecall.audit_log SET data = '{}', erased_by = (SELECT max(erased_by) FROM rolecall.audit_log) WHERE target = 'report_81' AND erased_by IS NULL",
		"UPDATE rolecall.audit_log SET erased_by = NULL WHERE target = 'report_81' AND erased_by IS NOT NULL",
		"UPDATE rolecall.audit_log SET erased_by = 0 WHERE target = 'report_81' AND erased_by IS NULL",
	} {
		tamper(t, b, "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT 1", "CREATE TABLE IF NOT EXISTS rolecall.kept_log AS SELECT * FROM rolecall.audit_log", forged)
		require.Contains(t, run(exitGuard, "audit", "verify"), "changed", forged)
		tamper(t, b, "UPDATE rolecall.audit_log l SET data = k.data, actor = k.actor, erased_by = k.erased_by FROM rolecall.kept_log k WHERE k.id = l.id")
		run(exitOK, "audit", "verify")
	}
}

// eraseLate runs what a service runs each hour.
func eraseLate(t *testing.T, b *servicetest.Bundle) {
	t.Helper()
	require.NoError(t, jobs.CutAndErase(t.Context(), b.DB, 0))
}

// TestErase_AlsoFrom takes a text from each line of a file or of standard input, beside those of
// --also. With standard input taken, it can't ask.
func TestErase_AlsoFrom(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "texts")
	require.NoError(t, os.WriteFile(file, []byte("\ufeffada@mail.test\r\n\n  Countess of Lovelace\n"), 0o600))
	c := eraseCommand{Also: []string{"Ada"}, AlsoFrom: file}
	require.NoError(t, c.readAlso(nil))
	require.Equal(t, []string{"Ada", "ada@mail.test", "Countess of Lovelace"}, c.Also)
	c = eraseCommand{AlsoFrom: "-", DryRun: true}
	require.NoError(t, c.readAlso(strings.NewReader("a\nb")))
	require.Equal(t, []string{"a", "b"}, c.Also)
	require.ErrorContains(t, (&eraseCommand{AlsoFrom: "-"}).readAlso(strings.NewReader("a")), "--dry-run first")
	require.ErrorContains(t, (&eraseCommand{AlsoFrom: "-", Yes: true}).readAlso(strings.NewReader(strings.Repeat("a", mostAlso+1))), "more than")
	require.ErrorContains(t, (&eraseCommand{AlsoFrom: file + "9"}).readAlso(nil), "no such file")
}
