package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQuery_UnknownParameterIsRefused: a parameter that was meant to change the answer must not be
// overlooked.
func TestQuery_UnknownParameterIsRefused(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	for _, target := range []string{
		"/v1/workspaces/org_1/members?limit=1", "/v1/authorize?workspace_id=org_1&permission=members:read",
	} {
		require.Equal(t, http.StatusOK, b.get("user_1", target).status, target)
		for _, unknown := range []string{"&user_id=user_2", "&Limit=2", "&=", "&limit%20=1", "&x"} {
			require.Equal(t, http.StatusBadRequest, b.get("user_1", target+unknown).status, target+unknown)
		}
	}
}
