package demo

import (
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestDev_ShowsThePolicysGrants, with any policy that tells members from admins.
func TestDev_ShowsThePolicysGrants(t *testing.T) {
	t.Parallel()
	for want, grants := range map[showcase]clerksync.Grants{
		{"reports:read", "billing:manage"}: {"org:member": {"a", "reports:read"}, "org:admin": {"a", "b", "billing:manage"}},
		{"a", "b"}:                         {"org:member": {"a"}, "org:admin": {"a", "b", "reports:read"}},
		{"billing:manage", "x"}:            {"org:member": {"billing:manage"}, "org:admin": {"billing:manage", "x"}},
	} {
		shown, err := newShowcase(grants)
		require.NoError(t, err)
		require.Equal(t, want, shown)
	}
	for _, grants := range []clerksync.Grants{{}, {"org:admin": {"a"}}, {"org:member": {"a"}}, {"org:member": {"a"}, "org:admin": {"a"}}} {
		_, err := newShowcase(grants)
		require.ErrorContains(t, err, "let it grant org:member one permission, and org:admin another one")
	}
}
