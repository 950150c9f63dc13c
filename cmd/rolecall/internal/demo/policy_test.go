package demo

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/policy"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestLacking_NamesWhatAdminsAreRefused: nothing, by the built-in policy.
func TestLacking_NamesWhatAdminsAreRefused(t *testing.T) {
	t.Parallel()
	builtIn, err := policy.Default()
	require.NoError(t, err)
	require.Empty(t, lacking(builtIn.Grants))
	own := lacking(clerksync.Grants{"org:member": {"a"}, "org:admin": {"a", "reports:read"}})
	require.Contains(t, own, "members:manage")
	require.Contains(t, own, "workspace:update")
	require.NotContains(t, own, "reports:read")
}
