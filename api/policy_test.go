package api

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestDefaultPolicy is the product's split of roles, in full: a change here is a change of who may do what.
func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	grants, err := DefaultPolicy()
	require.NoError(t, err)
	member := strings.Fields("workspace:read analyses:run reports:read prompts:read prompts:write")
	require.Equal(t, clerksync.Grants{
		"org:member": member,
		"org:admin": append(member,
			strings.Fields("workspace:update billing:manage integrations:manage schedules:manage audit:read members:read members:manage")...),
	}, grants)
}

// TestDefaultPolicyIsFresh: whoever changes the policy that they were given changes nobody else's.
func TestDefaultPolicyIsFresh(t *testing.T) {
	t.Parallel()
	first, err := DefaultPolicy()
	require.NoError(t, err)
	first["org:member"][0] = "spoiled"
	delete(first, "org:admin")
	second, err := DefaultPolicy()
	require.NoError(t, err)
	require.Contains(t, second, "org:admin")
	require.NotContains(t, second["org:member"], "spoiled")
}

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	grants, err := ParsePolicy([]byte("roles:\n  org:admin: [a, b]\n  org:guest: []\n  org:anything: [c]\n"))
	require.NoError(t, err)
	require.Equal(t, clerksync.Grants{"org:admin": {"a", "b"}, "org:guest": {}, "org:anything": {"c"}}, grants)
}

func TestParsePolicyRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"nothing":          {"", "no roles"},
		"no roles":         {"roles: {}", "no roles"},
		"null roles":       {"roles:", "no roles"},
		"another key":      {"roles:\n  org:admin: [a]\nrole:\n  org:member: [a]\n", "[3:1]"},
		"a role twice":     {"roles:\n  org:admin: [a]\n  org:admin: [b]\n", "[3:3]"},
		"not YAML":         {"roles: [", "[1:"},
		"text for a list":  {"roles:\n  org:admin: abc\n", "[2:14]"},
		"list for a map":   {"roles: [a]\n", "[1:"},
		"object for text":  {"roles:\n  org:admin: [{a: b}]\n", "[2:"},
		"legacy role":      {"roles:\n  admin: [a]\n", `role "admin" is written "org:admin"`},
		"other legacy":     {"roles:\n  basic_member: [a]\n", `role "basic_member" is written "org:member"`},
		"empty permission": {"roles:\n  org:admin: ['']\n", `role "org:admin"`},
		"null permission":  {"roles:\n  org:admin: [null]\n", `role "org:admin"`},
		"long permission":  {"roles:\n  org:admin: [" + strings.Repeat("x", maxID+1) + "]\n", `role "org:admin"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParsePolicy([]byte(test.text))
			require.ErrorContains(t, err, "read policy: ")
			require.ErrorContains(t, err, test.want)
		})
	}
}
