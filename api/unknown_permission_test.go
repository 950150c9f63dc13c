package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestUnknownPermission_IsToldToServices: and counted for all callers. Users aren't told which
// permissions there are.
func TestUnknownPermission_IsToldToServices(t *testing.T) {
	t.Parallel()
	var counted clerksync.Reason
	b := setupServer(t, func(c *Config) { c.Decided = func(r clerksync.Reason) { counted = r } })
	b.world.member("org_1", "user_1", "org:member", map[string]any{"permissions": []string{"org:copied:read"}})
	ask := func(user, permission string) (told, counts clerksync.Reason) {
		told = answerOf[decisionsBody](t, b.post(serviceToken, checksJSON(t, checkBody{user, "org_1", permission}))).Decisions[0].Reason
		requireProblem(t, b.get(serviceToken, authorizeTarget("org_1", permission), headerOnBehalfOf, user), http.StatusForbidden, told)
		requireProblem(t, b.get(user, authorizeTarget("org_1", permission)), http.StatusForbidden, clerksync.ReasonPermissionMissing)
		return told, counted
	}
	require.Equal(t, clerksync.ReasonAllowed, answerOf[decisionBody](t, b.get("user_1", authorizeTarget("org_1", "org:copied:read"))).Reason)
	for permission, want := range map[string]clerksync.Reason{
		"members:manage": clerksync.ReasonPermissionMissing, // of another role of the policy
		"members:manege": clerksync.ReasonUnknownPermission,
		"org:other:read": clerksync.ReasonPermissionMissing, // no role is known, so that any membership's copy may have it
		"Members:manage": clerksync.ReasonUnknownPermission,
	} {
		told, counts := ask("user_1", permission)
		require.Equal(t, want, told, permission)
		require.Equal(t, want, counts, permission)
	}
	for _, sql := range []string{
		`INSERT INTO rolecall.permissions (id, key) VALUES ('perm_1', 'org:reports:send')`,
		`INSERT INTO rolecall.roles (id, key, keys, permission_ids) VALUES ('role_1', 'org:sender', '{"org:sender":[1]}', ARRAY['perm_1'])`,
	} {
		_, err := b.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	for permission, want := range map[string]clerksync.Reason{
		"org:reports:send": clerksync.ReasonPermissionMissing, // of a role that nobody has
		"org:reports:sent": clerksync.ReasonUnknownPermission,
	} {
		told, _ := ask("user_1", permission)
		require.Equal(t, want, told, permission)
	}
	_, err := b.pool.Exec(t.Context(), `UPDATE rolecall.roles SET permission_ids = '{}'`)
	require.NoError(t, err)
	told, _ := ask("user_1", "org:reports:send")
	require.Equal(t, clerksync.ReasonUnknownPermission, told, "the role has lost it")
}

// TestUnknownPermission_OtherRefusalsComeFirst: it takes the place of permission_missing alone.
func TestUnknownPermission_OtherRefusalsComeFirst(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_1", "user_guest", "org:guest", nil)
	b.world.member("org_1", "user_banned", "org:admin", nil)
	b.world.account("user_banned", map[string]any{"banned": true})
	for user, want := range map[string]clerksync.Reason{
		"user_1": clerksync.ReasonUnknownPermission, "user_guest": clerksync.ReasonUnknownRole,
		"user_banned": clerksync.ReasonUserBanned, "user_stranger": clerksync.ReasonNotAMember,
	} {
		d := answerOf[decisionsBody](t, b.post(serviceToken, checksJSON(t, checkBody{user, "org_1", "no:such"}))).Decisions[0]
		require.Equal(t, want, d.Reason)
		require.False(t, d.Allowed)
	}
}
