package sync_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

func TestGrantsChange_TellsWhatRolesGainAndLose(t *testing.T) {
	t.Parallel()
	c := clerksync.GrantsChange{
		Before: clerksync.Grants{"org:admin": {"members:manage", "a", "org:x:read"}, "org:owner": {"members:manage"}, "org:member": {"a", "b"}, "org:gone": {"a"}},
		After:  clerksync.Grants{"org:admin": {"b", "a"}, "org:owner": {"members:manage"}, "org:member": {"b", "a", "a"}, "org:new": {"members:manage"}},
	}
	require.Equal(t, []string{"org:admin", "org:gone", "org:new"}, c.Roles())
	gains, loses := c.Of("org:admin", []string{"org:x:read"})
	require.Equal(t, []string{"b"}, gains)
	require.Equal(t, []string{"members:manage"}, loses, "the other one the role still has at Clerk")
	lost, kept := c.Managers()
	require.Equal(t, []string{"org:admin"}, lost)
	require.Equal(t, []string{"org:new", "org:owner"}, kept)
}

func TestGrants_DigestIsOfWhatIsGranted(t *testing.T) {
	t.Parallel()
	g := clerksync.Grants{"org:admin": {"b", "a"}, "org:member": {"a"}}
	require.Regexp(t, "^[0-9a-f]{16}$", g.Digest())
	require.Equal(t, g.Digest(), clerksync.Grants{"org:member": {"a", "a"}, "org:admin": {"a", "b"}, "org:none": nil}.Digest())
	require.NotEqual(t, g.Digest(), clerksync.Grants{"org:admin": {"a"}, "org:member": {"b", "a"}}.Digest())
}
