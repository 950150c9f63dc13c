package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// policyBundle is a folder of files, and a mirror with a role of Clerk's and people in two
// workspaces. The policy in force is saved.
type policyBundle struct {
	dir string
	env map[string]string
}

const policyInForce = "roles:\n  org:member: [reports:read]\n  org:admin: [reports:read, members:manage, members:read, workspace:update, audit:read]\n"

func setupPolicies(t *testing.T) *policyBundle {
	t.Helper()
	b := &policyBundle{dir: t.TempDir(), env: map[string]string{"DATABASE_URL": pgtest.URL(t)}}
	db, err := pgx.Connect(t.Context(), b.env["DATABASE_URL"])
	require.NoError(t, err)
	defer db.Close(t.Context())
	_, err = db.Exec(t.Context(), `
		INSERT INTO rolecall.permissions (id, key) VALUES ('perm_1', 'org:billing:read');
		INSERT INTO rolecall.roles (id, key, keys, permission_ids) VALUES ('role_1', 'org:member', '{"org:member": [1]}', '{perm_1}'), ('role_2', 'org:admin', '{"org:admin": [1]}', '{}');
		INSERT INTO rolecall.organizations (id, name, slug) VALUES ('org_1', 'Acme', 'acme'), ('org_2', 'Umbrella', 'umbrella');
		INSERT INTO rolecall.users (id, identifier) VALUES ('user_ada', 'ada@callmine.test'), ('user_bob', 'bob@callmine.test'), ('user_eve', 'eve@callmine.test');
		INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at) VALUES
			('orgmem_1', 'org_1', 'user_ada', 'org:admin', now()), ('orgmem_2', 'org_1', 'user_bob', 'org:member', now()), ('orgmem_3', 'org_2', 'user_bob', 'org:admin', now());
		INSERT INTO rolecall.grants (role, permission) SELECT r, p FROM unnest(ARRAY['org:admin', 'org:member']) r, unnest(ARRAY['reports:read', 'members:manage', 'members:read', 'workspace:update', 'audit:read']) p
			WHERE r = 'org:admin' OR p = 'reports:read'`)
	require.NoError(t, err)
	return b
}

// file writes a file, and returns its path.
func (b *policyBundle) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestPolicyTest_AsksThePolicyAlone: roles need no database, and each failing case is named with
// its line.
//
//nolint:paralleltest // the environment belongs to the process
func TestPolicyTest_AsksThePolicyAlone(t *testing.T) {
	b := &policyBundle{dir: t.TempDir()}
	rules := b.file(t, "policy.yaml", policyInForce)
	cases := b.file(t, "cases.yaml", "cases:\n  - role: org:member\n    allow: [reports:read]\n    deny:\n      - members:manage\n  - { role: org:admin, allow: ['members:manage'] }\n")
	code, out, errs := runCommand(t, nil, "policy", "test", cases, "--policy", rules)
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "3 cases passed, 0 failed: "+rules+", by what the policy grants alone\n", out)
	require.Empty(t, errs)
	code, out, errs = runCommand(t, map[string]string{"ROLECALL_POLICY_FILE": rules}, "policy", "test", cases)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, rules)

	rules = b.file(t, "other.yaml", "roles:\n  org:member: [members:manage]\n  org:admin: [members:manage]\n")
	code, out, errs = runCommand(t, nil, "policy", "test", cases, "--policy", rules)
	require.Equal(t, exitError, code)
	require.Contains(t, out, cases+":3: org:member should be allowed reports:read, and is refused it: unknown_permission\n")
	require.Contains(t, out, cases+":5: org:member should be refused members:manage, and is allowed it\n")
	require.Contains(t, out, "1 case passed, 2 failed")
	require.Contains(t, errs, "2 cases fail")

	code, out, _ = runCommand(t, nil, "policy", "test", cases, "--policy", rules, "--json")
	require.Equal(t, exitError, code)
	var tested testedPolicy
	require.NoError(t, json.Unmarshal([]byte(out), &tested))
	require.Equal(t, []int{1, 2, 3}, []int{tested.Passed, tested.Failed, len(tested.Cases)})

	cases = b.file(t, "typo.yaml", "cases:\n  - role: org:membr\n    deny: [reports:red]\n")
	code, _, errs = runCommand(t, nil, "policy", "test", cases, "--policy", rules)
	require.Equal(t, exitOK, code)
	require.Contains(t, errs, "warning: "+cases+":3: the policy grants the role org:membr nothing: is it misspelt?")
	cases = b.file(t, "typo.yaml", "cases:\n  - role: org:member\n    deny: [reports:red]\n")
	_, _, errs = runCommand(t, nil, "policy", "test", cases, "--policy", rules)
	require.Contains(t, errs, "warning: "+cases+":3: no role has the permission reports:red: is it misspelt?")
}

// TestPolicyTest_AsksTheMirror about people, and of roles' permissions at Clerk.
//
//nolint:paralleltest // the environment belongs to the process
func TestPolicyTest_AsksTheMirror(t *testing.T) {
	b := setupPolicies(t)
	rules := b.file(t, "policy.yaml", policyInForce)
	cases := b.file(t, "cases.yaml", `cases:
  - { user: ada@callmine.test, workspace: acme, allow: ['members:manage'], deny: ['org:billing:read'] }
  - { user: user_bob, workspace: org_1, allow: ['org:billing:read'], deny: ['members:manage'] }
  - { user: user_ada, workspace: org_2, deny: ['reports:read'] }
  - { user: user_nobody, workspace: org_1, deny: ['reports:read'] }
  - { role: org:member, allow: ['org:billing:read'] }
`)
	code, out, errs := runCommand(t, b.env, "policy", "test", cases, "--policy", rules)
	require.Equal(t, exitOK, code, out+errs)
	require.Contains(t, out, "7 cases passed, 0 failed: "+rules+", by the policy and the mirror")

	roles := b.file(t, "roles.yaml", "cases: [{ role: org:member, allow: ['org:billing:read'] }]\n")
	code, _, _ = runCommand(t, b.env, "policy", "test", roles, "--policy", rules)
	require.Equal(t, exitError, code, "without --mirror, only the policy counts")
	code, _, errs = runCommand(t, b.env, "policy", "test", roles, "--policy", rules, "--mirror")
	require.Equal(t, exitOK, code, errs)

	code, _, errs = runCommand(t, nil, "policy", "test", cases, "--policy", rules)
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "DATABASE_URL is missing")
	cases = b.file(t, "cases.yaml", "cases:\n  - user: carol@callmine.test\n    workspace: acme\n    deny: [reports:read]\n")
	code, _, errs = runCommand(t, b.env, "policy", "test", cases, "--policy", rules)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, cases+`:4: no user has the id, e-mail address or name "carol@callmine.test"`)
}

// TestPolicyTest_NamesMistakesOfTheFile, each with its line. The exit code is that of a wrong
// command line.
//
//nolint:paralleltest // the environment belongs to the process
func TestPolicyTest_NamesMistakesOfTheFile(t *testing.T) {
	b := &policyBundle{dir: t.TempDir()}
	for text, want := range map[string]string{
		"":                                       ":1: no cases",
		"cases: []\n":                            ":1: no cases",
		"cases: 7\n":                             `:1: "cases" must be a list`,
		"case: []\n":                             `:1: unknown key "case"`,
		"cases:\n  - role: org:member\n":         `:2: the case expects nothing`,
		"cases:\n  - allow: [a]\n":               `:2: a case must have either "role", or "user" and "workspace"`,
		"cases:\n  - {user: a, allow: [a]}\n":    `:2: a case must have either "role", or "user" and "workspace"`,
		"cases:\n  - {role: admin, allow: [a]}":  `:2: role "admin" must be written "org:admin"`,
		"cases:\n  - {role: 'org:A', deny: [a]}": `:2: "org:A" is not a role`,
		"cases:\n  - {role: org:a, workspace: b, deny: [a]}":       `:2: a case must have either`,
		"cases:\n  - role: org:a\n    permit: [a]\n":               `:3: unknown key "permit"`,
		"cases:\n  - role: org:a\n    allow: a\n":                  `:3: "allow" must be a list of permissions`,
		"cases:\n  - role: org:a\n    allow:\n      - reports:*\n": `:4: allow: "reports:*" is not a permission`,
		"cases:\n  - role: org:a\n    allow: [a]\n    deny: [a]\n": `:4: "a" is listed twice in one case`,
		"cases:\n  - {role: org:a, allow: [a:b]}":                  `:2: allow: <a: b> is not a text: write a permission between { and } in quotation marks`,
		"cases:\n\t- role":   `YAML doesn't allow a tab here`,
		"cases: &x []\n":     `a file of cases must not have anchors`,
		"cases: []\n---\na:": `a file of cases must be one YAML document`,
	} {
		cases := b.file(t, "cases.yaml", text)
		code, out, errs := runCommand(t, nil, "policy", "test", cases)
		require.Equal(t, exitUsage, code, text)
		require.Empty(t, out)
		require.Contains(t, errs, want, text)
		require.Contains(t, errs, cases)
	}
	code, _, errs := runCommand(t, nil, "policy", "test", filepath.Join(b.dir, "none.yaml"))
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "no such file")
	cases := b.file(t, "cases.yaml", "cases: [{role: org:member, allow: [a]}]\n")
	code, _, errs = runCommand(t, nil, "policy", "test", cases, "--policy", b.file(t, "policy.yaml", "roles: 7\n"))
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "policy.yaml:1: roles must be a mapping")
	require.NotContains(t, errs, strings.Repeat("rolecall:", 2))
}

// TestPolicyDiff_SaysWhoGainsAndLoses: by role, by member, and which workspaces would be left
// without a manager.
//
//nolint:paralleltest // the environment belongs to the process
func TestPolicyDiff_SaysWhoGainsAndLoses(t *testing.T) {
	b := setupPolicies(t)
	next := b.file(t, "next.yaml", "roles:\n  org:member: [reports:read, reports:export, org:billing:read]\n  org:admin: [reports:read, members:read, workspace:update, audit:read]\n")
	code, out, errs := runCommand(t, b.env, "policy", "diff", next)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "compared with the policy in force\n")
	require.Regexp(t, `org:admin +2 +members:manage\n`, out)
	require.Regexp(t, `org:member +1 +reports:export\n`, out, "what the role has at Clerk it doesn't gain")
	require.Regexp(t, `Acme +org_1 `, out)
	require.Contains(t, out, "A process refuses this policy, unless the file has this line:\n  confirm_no_manager: \"")
	code, _, errs = runCommand(t, b.env, "policy", "diff", next, "--exit-code")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "the file grants other things than the policy in force")

	code, out, _ = runCommand(t, b.env, "policy", "diff", next, "--json")
	require.Equal(t, exitOK, code)
	var difference policyDifference
	require.NoError(t, json.Unmarshal([]byte(out), &difference))
	require.Equal(t, []changedRole{{"org:admin", 2, []string{}, []string{"members:manage"}}, {"org:member", 1, []string{"reports:export"}, []string{}}}, difference.Roles)
	require.Len(t, difference.WithoutManager, 2)
	require.False(t, difference.Confirmed)
	code, out, _ = runCommand(t, b.env, "policy", "diff", next, "--csv")
	require.Equal(t, exitOK, code)
	require.Equal(t, "role,members,gains,loses\norg:admin,2,,members:manage\norg:member,1,reports:export,\n", out)

	b.file(t, "next.yaml", "roles:\n  org:member: [reports:read, reports:export, org:billing:read]\n  org:admin: [reports:read, members:read, workspace:update, audit:read]\n"+*difference.Confirmation+"\n")
	_, out, _ = runCommand(t, b.env, "policy", "diff", next)
	require.Contains(t, out, "A process takes this policy, because the file has this line:")

	var members []string
	for after := ""; ; {
		args := []string{"policy", "diff", next, "--members", "--json", "--limit", "1"}
		if after != "" {
			args = append(args, "--after", after)
		}
		code, out, errs := runCommand(t, b.env, args...)
		require.Equal(t, exitOK, code, errs)
		var page struct {
			Members []changedMember `json:"members"`
			Next    *string         `json:"next"`
		}
		require.NoError(t, json.Unmarshal([]byte(out), &page), out)
		for _, m := range page.Members {
			members = append(members, m.WorkspaceID+" "+m.UserID+" +"+strings.Join(m.Gains, " ")+" -"+strings.Join(m.Loses, " "))
		}
		if page.Next == nil {
			break
		}
		after = *page.Next
	}
	require.Equal(t, []string{"org_1 user_ada + -members:manage", "org_1 user_bob +reports:export -", "org_2 user_bob + -members:manage"}, members)
	_, out, errs = runCommand(t, b.env, "policy", "diff", next, "--without-manager", "--csv", "--limit", "1")
	require.Equal(t, "name,id,slug,members\nAcme,org_1,acme,2\n", out)
	require.Contains(t, errs, "There may be more")

	same := b.file(t, "same.yaml", policyInForce)
	code, out, _ = runCommand(t, b.env, "policy", "diff", same, "--exit-code")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "no role gains or loses anything")
	code, _, errs = runCommand(t, b.env, "policy", "diff", b.file(t, "wrong.yaml", "roles: {}\n"))
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "wrong.yaml:1: no roles")
}
