package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// requireFits requires that no line is wider than a terminal.
func requireFits(t *testing.T, text string) {
	t.Helper()
	for l := range strings.Lines(text) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(l, "\n")), 80, l)
	}
}

//nolint:paralleltest // the environment belongs to the process
func TestWhy(t *testing.T) {
	b := servicetest.Setup(t, nil)
	jane, err := b.Clerk.CreateUser(clerksim.NewUser{FirstName: "Jane\u202e", LastName: "Doe", Emails: []string{"jane@example.com"}})
	require.NoError(t, err)
	john, err := b.Clerk.CreateUser(clerksim.NewUser{FirstName: "John", LastName: "Doe", Emails: []string{"john@example.com"}})
	require.NoError(t, err)
	north, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: "Northwind", CreatedBy: john.ID})
	require.NoError(t, err)
	_, err = b.Clerk.AddMember(north.ID, jane.ID, clerksim.RoleMember)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	env := map[string]string{"DATABASE_URL": b.Config.DatabaseURL}

	code, out, errs := runCommand(t, env, "why", "JANE@example.com", "northwind", "billing:manage")
	require.Equal(t, exitOK, code, errs)
	first, _, _ := strings.Cut(out, "\n\n")
	require.Equal(t, `No: Jane\u202e Doe (`+jane.ID+`) may not use billing:manage in Northwind (`+north.ID+`), because `+
		"org:member isn't granted billing:manage; org:admin (built-in policy) has it.", strings.Join(strings.Fields(first), " "))
	for _, fact := range []string{
		"✓ account        active, not banned\n", "✓ workspace      " + north.ID + " exists\n", "✓ membership     orgmem_", "✓ role           org:member\n",
		"✗ grant          org:member isn't granted", "✓ freshness      agreed with Clerk", "✓ impersonation  the user acts\n",
	} {
		require.Contains(t, out, fact)
	}
	require.Regexp(t, `(?m)^ {17}since 20\d\d-\d\d-\d\d.*, msg_\w+$`, out)
	require.Regexp(t, `(?m)^ {17}policy read 20\d\d-`, out)
	require.Regexp(t, `(?m)^ {17}as of 20\d\d-`, out)
	require.Contains(t, strings.Join(strings.Fields(out), " "), "What would change the answer: give "+jane.ID+" the role org:admin.")
	require.NotContains(t, out, "NOTE")
	requireFits(t, out)

	code, out, _ = runCommand(t, env, "why", jane.ID, north.ID, "reports:read")
	require.Equal(t, exitOK, code)
	require.True(t, strings.HasPrefix(out, "Yes: "), out)
	require.NotContains(t, out, "What would change")
	code, out, _ = runCommand(t, env, "why", jane.ID, north.ID)
	require.Equal(t, exitOK, code)
	require.Contains(t, strings.Join(strings.Fields(out), " "), "counts as a member")
	require.Contains(t, out, "– role ", "it says nothing about membership alone")

	code, out, errs = runCommand(t, env, "why", jane.ID, north.ID, "billing:manage", "--json")
	require.Equal(t, exitOK, code, errs)
	asked, told := b.Say(t, b.ServiceToken, "POST", "/v1/explain", `{"user_id":"`+jane.ID+`","workspace_id":"`+north.ID+`","permission":"billing:manage"}`)
	require.Equal(t, 200, asked)
	var printed map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &printed))
	for _, fact := range append(printed["facts"].([]any), told["facts"].([]any)...) { // they depend on the moment of the question
		if f := fact.(map[string]any); f["fact"] == "freshness" {
			f["detail"] = ""
		}
	}
	require.Equal(t, told["decision"], printed["decision"])
	require.Equal(t, told["change"], printed["change"])
	for i, fact := range told["facts"].([]any) {
		if fact.(map[string]any)["fact"] != "grant" { // the process knows to the nanosecond when it read its policy
			require.Equal(t, fact, printed["facts"].([]any)[i])
		}
	}
}

//nolint:paralleltest // the environment belongs to the process
func TestWhy_WrongQuestions(t *testing.T) {
	b := servicetest.Setup(t, nil)
	workspace, admin, _, messages := servicetest.Team(t, b)
	for _, name := range []string{"John", "Jane"} {
		_, err := b.Clerk.CreateUser(clerksim.NewUser{FirstName: name, LastName: "Doe", Emails: []string{strings.ToLower(name) + "@example.com"}})
		require.NoError(t, err)
	}
	b.Send(t, append(messages, b.Clerk.Drain()...)...)
	env := map[string]string{"DATABASE_URL": b.Config.DatabaseURL}
	code, out, errs := runCommand(t, env, "why", "doe", workspace, "billing:manage")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Contains(t, errs, "Jane Doe  jane@example.com")
	require.Contains(t, errs, "John Doe  john@example.com")
	require.Contains(t, errs, "give the id of the one you mean")
	for _, wrong := range [][]string{{"nobody", workspace, "p"}, {admin, "nowhere", "p"}, {admin, workspace, strings.Repeat("x", 256)}, {admin}, {admin, workspace, "p", "q"}} {
		code, out, errs = runCommand(t, env, append([]string{"why"}, wrong...)...)
		require.Equal(t, exitUsage, code, errs)
		require.Empty(t, out)
		require.NotEmpty(t, errs)
	}
	code, out, _ = runCommand(t, env, "why", "user_unknown", "org_unknown", "reports:read")
	require.Equal(t, exitOK, code, "it was answered")
	require.Contains(t, out, "– account        user_unknown isn't known here")

	env["ROLECALL_POLICY_FILE"] = filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(env["ROLECALL_POLICY_FILE"], []byte("roles:\n  org:member: [billing:manage]\n"), 0o600))
	code, out, _ = runCommand(t, env, "why", admin, workspace, "members:manage")
	require.Equal(t, exitOK, code)
	require.True(t, strings.HasPrefix(out, "Yes: "), "by what the processes saved, and not by the file")
	require.Contains(t, out, "NOTE: This answer is by the policy of the serving processes.")
	_, _, errs = runCommand(t, env, "why", admin, workspace, "members:manage", "--json")
	require.Contains(t, errs, "This answer is by the policy of the serving processes.")

	env["DATABASE_URL"] = "postgres://nobody@127.0.0.1:1/none?connect_timeout=1"
	code, _, _ = runCommand(t, env, "why", admin, workspace, "members:manage")
	require.Equal(t, exitError, code, "it couldn't be answered")
}
