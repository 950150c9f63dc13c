package policy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestDefault lists the built-in policy in full: a change here changes what members may do.
func TestDefault(t *testing.T) {
	t.Parallel()
	policy, err := Parse(BuiltIn, builtIn)
	require.NoError(t, err)
	policy.places = nil // see TestPolicy_KnowsWhereGrantsAreWritten
	member := strings.Fields("workspace:read analyses:run reports:read prompts:read prompts:write")
	require.Equal(t, Policy{Grants: clerksync.Grants{
		"org:member": member,
		"org:admin": append(member,
			strings.Fields("workspace:update billing:manage integrations:manage schedules:manage audit:read members:read members:manage")...),
	}}, policy, "and nothing to warn of")
}

// TestDefault_IsFresh: changing a returned policy doesn't change the next one.
func TestDefault_IsFresh(t *testing.T) {
	t.Parallel()
	first, err := Default()
	require.NoError(t, err)
	first.Grants["org:member"][0] = "spoiled"
	delete(first.Grants, "org:admin")
	second, err := Default()
	require.NoError(t, err)
	require.Contains(t, second.Grants, "org:admin")
	require.NotContains(t, second.Grants["org:member"], "spoiled")
}

func TestParse(t *testing.T) {
	t.Parallel()
	policy, err := Parse("p.yaml", []byte("# ours & yours *\nroles:\n  org:admin: [a, b-c.d:e_F, org:x_1:read]\n  'org:any_2': [\"c\"]\n"))
	require.NoError(t, err)
	require.Equal(t, clerksync.Grants{"org:admin": {"a", "b-c.d:e_F", "org:x_1:read"}, "org:any_2": {"c"}}, policy.Grants)
}

func TestPolicy_IsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	want := Policy{
		Grants:            clerksync.Grants{"org:admin": {"z:1", "a", "true", "7", "null"}, "org:b_c": {"x"}},
		DenyImpersonators: []string{"7", "null", "x"},
		AuthZEN:           AuthZEN{WorkspaceTypes: []string{"team", "true", "null", "a:", "y", "urn:x:a-b_c", "https://a.test/types/1.2"}},
	}
	text, err := want.YAML()
	require.NoError(t, err)
	got, err := Parse("p.yaml", text)
	require.NoError(t, err, string(text))
	require.Equal(t, want.Grants, got.Grants)
	require.Equal(t, want.DenyImpersonators, got.DenyImpersonators)
	require.Equal(t, want.AuthZEN, got.AuthZEN)
}

func TestPolicy_IsWorkspaceType(t *testing.T) {
	t.Parallel()
	const roles = "roles:\n  org:admin: [a]\n"
	usual, err := Parse("p.yaml", []byte(roles))
	require.NoError(t, err)
	own, err := Parse("p.yaml", []byte(roles+"authzen:\n  workspace_types: [team, 'workspace']\n"))
	require.NoError(t, err)
	require.Empty(t, own.Warnings[len(usual.Warnings):])
	for name, want := range map[string][2]bool{
		"workspace": {true, true}, "organization": {true, false}, "team": {false, true}, "Workspace": {false, false}, "": {false, false},
	} {
		require.Equal(t, want, [2]bool{usual.IsWorkspaceType(name), own.IsWorkspaceType(name)}, name)
	}
}

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"nothing":             {"", "p.yaml:1: no roles"},
		"comments":            {"# roles\n# of nobody\n", "p.yaml:1: no roles"},
		"no roles":            {"\nroles: {}", "p.yaml:2: no roles"},
		"null roles":          {"roles:", "p.yaml:1: no roles"},
		"another key":         {"roles:\n  org:admin: [a]\nrole:\n  org:member: [a]\n", `p.yaml:3: unknown key "role"`},
		"only another key":    {"# ours\nrole:\n  org:member: [a]\n", `p.yaml:2: unknown key "role"`},
		"a key that isn't":    {"7: [a]\n", `p.yaml:1: unknown key "<7>"`},
		"roles twice":         {"roles:\n  org:admin: [a]\nroles:\n  org:b: [a]\n", `p.yaml:3: "roles" is given twice, first on line 1`},
		"a role twice":        {"roles:\n  org:admin: [a]\n  'org:admin': [b]\n", `p.yaml:3: role "org:admin" is given twice, first on line 2`},
		"a permission twice":  {"roles:\n  org:admin:\n  - a\n  - b\n  - a\n", `p.yaml:5: role "org:admin": "a" is granted twice`},
		"twice by an alias":   {"roles:\n  org:admin:\n  - &a a\n  - *a\n", "p.yaml:4: a policy must not have anchors, aliases"},
		"role by an alias":    {"roles:\n  &r org:admin: [a]\n  *r : [b]\n", "p.yaml:3: a policy must not have anchors, aliases"},
		"anchors of a name":   {"roles:\n  org:guest: &l [a]\n  org:member: *l\n  org:admin: &l [b]\n", "p.yaml:3: a policy must not have anchors, aliases"},
		"anchor of a role":    {"roles:\n  org:admin: &all [a]\n", "p.yaml:2: a policy must not have anchors, aliases"},
		"anchor of all":       {"&all roles:\n  org:admin: [a]\n", "p.yaml:1: a policy must not have anchors, aliases"},
		"not YAML":            {"roles: [", "p.yaml:1: it isn't YAML: "},
		"tabs":                {"roles:\n\torg:admin: [a]\n", "p.yaml:2: YAML doesn't allow a tab here"},
		"a tab at first":      {"\troles:\n  org:admin: [a]\n", "p.yaml:1: YAML doesn't allow a tab here"},
		"two documents":       {"roles:\n  org:admin: [a]\n---\nroles:\n  org:b: [b]\n", "a policy must be one YAML document"},
		"text for all":        {"roles\n", "p.yaml:1: a policy must be a mapping"},
		"text for a list":     {"roles:\n  org:admin: abc\n", `p.yaml:2: role "org:admin": its permissions must be a list`},
		"list for a map":      {"\nroles: [a]\n", "p.yaml:2: roles must be a mapping"},
		"object for text":     {"roles:\n  org:admin:\n  - a: b\n", `p.yaml:3: role "org:admin": "<a: b>" is not`},
		"number for text":     {"roles:\n  org:admin: [7]\n", `p.yaml:2: role "org:admin": "<7>" is not`},
		"unknown alias":       {"roles:\n  org:admin: *nobody\n", "p.yaml:2: a policy must not have anchors, aliases"},
		"merge":               {"roles:\n  org:admin: [a]\n  <<: {org:b: [b]}\n", "p.yaml:3: "},
		"legacy role":         {"roles:\n  admin: [a]\n", `p.yaml:2: role "admin" must be written "org:admin"`},
		"other legacy":        {"roles:\n  basic_member: [a]\n", `p.yaml:2: role "basic_member" must be written "org:member"`},
		"role without prefix": {"roles:\n  org:a: [a]\n  owner: [a]\n", `p.yaml:3: "owner" is not a role`},
		"role with a space":   {"roles:\n  org:a b: [a]\n", `p.yaml:2: "org:a b" is not a role`},
		"role of no name":     {"roles:\n  'org:': [a]\n", `p.yaml:2: "org:" is not a role`},
		"role of nobody":      {"roles:\n  org:admin: [a]\n  org:Admin: [b]\n", `p.yaml:3: "org:Admin" is not a role`},
		"role with a dash":    {"roles:\n  org:a-b: [a]\n", `p.yaml:2: "org:a-b" is not a role`},
		"role that is a key":  {"roles:\n  org:a:read: [a]\n", `p.yaml:2: "org:a:read" is not a role`},
		"long role":           {"roles:\n  org:" + strings.Repeat("x", clerksync.MaxID-3) + ": [a]\n", "p.yaml:2: "},
		"empty grants":        {"roles:\n  org:admin: [a]\n  org:guest: []\n", `p.yaml:3: role "org:guest" grants nothing`},
		"null grants":         {"roles:\n  org:guest:\n  org:admin: [a]\n", `p.yaml:2: role "org:guest" grants nothing`},
		"empty permission":    {"roles:\n  org:admin: ['']\n", `p.yaml:2: role "org:admin": ""`},
		"null permission":     {"roles:\n  org:admin: [null]\n", `p.yaml:2: role "org:admin"`},
		"wildcard":            {"roles:\n  org:admin:\n  - a\n  - 'reports:*'\n", "p.yaml:4: "},
		"bare wildcard":       {"roles:\n  org:admin:\n  - *\n", "p.yaml:3: "},
		"wildcard of some":    {"roles:\n  org:admin:\n  - reports:*\n", `p.yaml:3: role "org:admin": "reports:*" is not`},
		"dot":                 {"roles:\n  org:admin: [.]\n", `p.yaml:2: role "org:admin": "." is not`},
		"nothing to do":       {"roles:\n  org:admin: ['reports:']\n", `p.yaml:2: role "org:admin": "reports:" is not`},
		"nothing to do it to": {"roles:\n  org:admin: [':read']\n", `p.yaml:2: role "org:admin": ":read" is not`},
		"a word left out":     {"roles:\n  org:admin: ['org::read']\n", `p.yaml:2: role "org:admin": "org::read" is not`},
		"a word of dashes":    {"roles:\n  org:admin: [a.--]\n", `p.yaml:2: role "org:admin": "a.--" is not`},
		"several in one":      {"roles:\n  org:admin: ['a b']\n", `p.yaml:2: role "org:admin": "a b" is not`},
		"no AuthZEN":          {"roles:\n  org:admin: [a]\nauthzen:\n", `p.yaml:3: "authzen" says nothing`},
		"empty AuthZEN":       {"roles:\n  org:admin: [a]\nauthzen: {}\n", `p.yaml:3: "authzen" says nothing`},
		"text for AuthZEN":    {"roles:\n  org:admin: [a]\nauthzen: on\n", "p.yaml:3: authzen must be a mapping"},
		"AuthZEN twice":       {"roles:\n  org:admin: [a]\nauthzen: {workspace_types: [a]}\nauthzen: {workspace_types: [b]}\n", `p.yaml:4: "authzen" is given twice, first on line 3`},
		"AuthZEN alone":       {"authzen: {workspace_types: [a]}\n", "p.yaml:1: no roles"},
		"another of AuthZEN":  {"roles:\n  org:admin: [a]\nauthzen:\n  types: [a]\n  workspace_types: [a]\n", `p.yaml:4: unknown key "types": "authzen" may have "workspace_types"`},
		"types twice":         {"roles:\n  org:admin: [a]\nauthzen:\n  workspace_types: [a]\n  workspace_types: [b]\n", `p.yaml:5: "workspace_types" is given twice`},
		"no types":            {"roles:\n  org:admin: [a]\nauthzen:\n  workspace_types: []\n", `p.yaml:4: "workspace_types" must be a list`},
		"null types":          {"roles:\n  org:admin: [a]\nauthzen:\n  workspace_types:\n", `p.yaml:4: "workspace_types" must be a list`},
		"text for types":      {"roles:\n  org:admin: [a]\nauthzen:\n  workspace_types: team\n", `p.yaml:4: "workspace_types" must be a list`},
		"number for a type":   {"roles:\n  org:admin: [a]\nauthzen:\n  workspace_types:\n  - a\n  - 7\n", `p.yaml:6: workspace_types: "<7>" is not a type`},
		"a blank in a type":   {"roles:\n  org:admin: [a]\nauthzen:\n  workspace_types: ['a b']\n", `p.yaml:4: workspace_types: "a b" is not a type`},
		"no name of a type":   {"roles:\n  org:admin: [a]\nauthzen:\n  workspace_types: ['']\n", `p.yaml:4: workspace_types: "" is not a type`},
		"a type twice":        {"roles:\n  org:admin: [a]\nauthzen:\n  workspace_types: [a, b, a]\n", `p.yaml:4: workspace_types: "a" is given twice`},
		"long type":           {"roles:\n  org:admin: [a]\nauthzen:\n  workspace_types: [" + strings.Repeat("x", 256) + "]\n", "p.yaml:4: workspace_types: "},
		"long permission":     {"roles:\n  org:admin: [" + strings.Repeat("x", clerksync.MaxID+1) + "]\n", `p.yaml:2: role "org:admin"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy, err := Parse("p.yaml", []byte(test.text))
			require.ErrorContains(t, err, "read policy: ")
			require.ErrorContains(t, err, test.want)
			require.Zero(t, policy)
		})
	}
}

func TestParse_TellsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse("p.yaml", []byte("role: x\nroles:\n  org:guest: []\n  owner: ['*']\n  org:b: [a]\n  org:b: [.]\n"))
	for _, place := range []string{"p.yaml:1: ", "p.yaml:3: ", "p.yaml:4: \"owner\"", "p.yaml:4: role", `p.yaml:6: role "org:b" is given twice`, `p.yaml:6: role "org:b": "."`} {
		require.ErrorContains(t, err, place)
	}
}

// TestParse_WarnsOfRoutes: a route whose permission no role grants refuses every caller.
func TestParse_WarnsOfRoutes(t *testing.T) {
	t.Parallel()
	policy, err := Parse("p.yaml", []byte("# ours\n\nroles:\n  org:admin: [members:read, audit:read]\n  org:owner: [workspace:update]\n"))
	require.NoError(t, err)
	require.Equal(t, []string{"p.yaml:3: no role grants members:manage: no member can invite, promote or remove members"}, policy.Warnings)
	policy, err = Parse("p.yaml", []byte("roles:\n  org:admin: [a]\n"))
	require.NoError(t, err)
	require.Len(t, policy.Warnings, 4)
	for _, warning := range policy.Warnings {
		require.Contains(t, warning, "p.yaml:1: no role grants ")
	}
}

// TestParse_WarnsOfKeysThatClerkCannotHave: such a permission looks like one of Clerk's, but only
// the policy can grant it.
func TestParse_WarnsOfKeysThatClerkCannotHave(t *testing.T) {
	t.Parallel()
	policy, err := Parse("p.yaml", []byte(`roles:
  org:admin: [members:read, members:manage, workspace:update, audit:read, org:invoices:read, org:sys_memberships:manage]
  org:member:
  - org:Invoices:read
  - org:invoices
  - org:a:b:c
  - Org:invoices:read
`))
	require.NoError(t, err)
	require.Len(t, policy.Grants["org:member"], 4)
	require.Len(t, policy.Warnings, 3)
	for i, want := range []string{
		`p.yaml:4: role "org:member": "org:Invoices:read" can't be a permission at Clerk`,
		`p.yaml:5: role "org:member": "org:invoices" can't`, `p.yaml:6: role "org:member": "org:a:b:c" can't`,
	} {
		require.Contains(t, policy.Warnings[i], want)
	}
}
