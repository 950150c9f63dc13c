package policy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// denying is a policy with a list of what it denies to impersonators, from line 4 on.
func denying(list string) string {
	return "roles:\n  org:admin: [members:read, members:manage, workspace:update, audit:read]\n  org:b: ['org:Odd:read']\ndeny_impersonators:" + list
}

func TestDenyImpersonators(t *testing.T) {
	t.Parallel()
	policy, err := Parse("p.yaml", []byte(denying(" [members:manage, 'org:Odd:read', audit:read, org:invoices:pay]\n")))
	require.NoError(t, err)
	require.Equal(t, []string{"audit:read", "members:manage", "org:Odd:read", "org:invoices:pay"}, policy.DenyImpersonators)
	require.Len(t, policy.Warnings, 1, "only of the odd permission that a role grants")

	before, err := Parse("p.yaml", []byte("deny_impersonators: [a]\nroles:\n  org:admin: [a]\n"))
	require.NoError(t, err, "in any order")
	require.Equal(t, []string{"a"}, before.DenyImpersonators)
	builtIn, err := Default()
	require.NoError(t, err)
	require.Empty(t, builtIn.DenyImpersonators)
}

// TestDenyImpersonators_WarnsOfUnknownPermissions: what no role has needs no denial, and is
// probably misspelt.
func TestDenyImpersonators_WarnsOfUnknownPermissions(t *testing.T) {
	t.Parallel()
	policy, err := Parse("p.yaml", []byte(denying("\n- members:manage\n- billing:mange\n- org:Invoices:pay\n")))
	require.NoError(t, err)
	require.Equal(t, []string{
		"p.yaml:6: deny_impersonators: no role grants billing:mange, and it can't be a permission at Clerk: denying it changes nothing",
		"p.yaml:7: deny_impersonators: no role grants org:Invoices:pay, and it can't be a permission at Clerk: denying it changes nothing",
	}, policy.Warnings[1:])
}

func TestDenyImpersonators_Refuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ list, want string }{
		"null":       {"\n", "p.yaml:4: deny_impersonators denies nothing"},
		"empty":      {" []\n", "p.yaml:4: deny_impersonators denies nothing"},
		"text":       {" members:manage\n", "p.yaml:4: deny_impersonators must be a list of permissions"},
		"a mapping":  {"\n  members: manage\n", "deny_impersonators must be a list of permissions"},
		"twice":      {"\n- audit:read\n- audit:read\n", `p.yaml:6: deny_impersonators: "audit:read" is denied twice`},
		"a wildcard": {"\n- 'members:*'\n", `p.yaml:5: deny_impersonators: "members:*" is not a permission`},
		"all":        {"\n- '*'\n", `p.yaml:5: deny_impersonators: "*" is not a permission`},
		"a number":   {" [7]\n", `p.yaml:4: deny_impersonators: "<7>" is not a permission`},
		"nothing":    {" [null]\n", `p.yaml:4: deny_impersonators: "<null>" is not a permission`},
		"key twice":  {" [audit:read]\ndeny_impersonators: [audit:read]\n", `p.yaml:5: "deny_impersonators" is given twice`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy, err := Parse("p.yaml", []byte(denying(test.list)))
			require.ErrorContains(t, err, test.want)
			require.Zero(t, policy)
		})
	}
}
