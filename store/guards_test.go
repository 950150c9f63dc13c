package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func text(value string, after int64) clerksync.Field[string] {
	return clerksync.Field[string]{Value: value, Version: at(after)}
}

// TestRevision_RolesAndPermissionsCountEverywhere: they change what members of every organization
// may do.
func TestRevision_RolesAndPermissionsCountEverywhere(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	save(t, pool, mirrorOf(organization("org_1", 1), organization("org_2", 1)))
	changed := clerksync.NewMirror()
	changed.Roles["role_1"] = clerksync.Role{Reference: clerksync.Reference{ID: "role_1"}, Key: text("org:clerk", 2)}
	save(t, pool, changed)
	require.Equal(t, 2, revisionOf(t, pool, "org_1"))
	require.Equal(t, 2, revisionOf(t, pool, "org_2"))
	changed = clerksync.NewMirror()
	changed.Permissions["perm_1"] = clerksync.Permission{Reference: clerksync.Reference{ID: "perm_1"}, Key: text("org:a:read", 3)}
	save(t, pool, changed)
	require.Equal(t, 3, revisionOf(t, pool, "org_1"))
	require.Equal(t, 3, revisionOf(t, pool, "org_2"))
	require.Zero(t, revisionOf(t, pool, "org_unknown"), "an unknown one")
}

func TestRevision_InvitationsAndDomainsCountForTheirs(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	save(t, pool, mirrorOf(organization("org_1", 1), organization("org_2", 1)))
	changed := clerksync.NewMirror()
	changed.Invitations["orginv_1"] = clerksync.Invitation{Reference: clerksync.Reference{ID: "orginv_1", OrganizationID: "org_1"}, Status: text("pending", 2)}
	save(t, pool, changed)
	require.Equal(t, 2, revisionOf(t, pool, "org_1"))
	changed = clerksync.NewMirror()
	changed.Domains["orgdmn_1"] = clerksync.Domain{Reference: clerksync.Reference{ID: "orgdmn_1", OrganizationID: "org_1"}, Name: text("a.test", 3)}
	save(t, pool, changed)
	require.Equal(t, 3, revisionOf(t, pool, "org_1"))
	require.Equal(t, 1, revisionOf(t, pool, "org_2"))
}

func texts(after int64, values ...string) clerksync.Field[[]string] {
	return clerksync.Field[[]string]{Value: values, Version: at(after)}
}

// TestStandings_MemberHasTheRoleAsItIsNow: Clerk sends an event of the role alone, not of each
// member who has it.
func TestStandings_MemberHasTheRoleAsItIsNow(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	m := membership("orgmem_1", "org_1", "user_1", 1)
	m.Role, m.Permissions = text("org:clerk", 1), texts(1, "org:snapshot:read")
	save(t, pool, mirrorOf(m))
	requireRole := func(role string, permissions ...string) {
		t.Helper()
		standings, err := store.Standings(t.Context(), pool, store.Pair{UserID: "user_1", OrganizationID: "org_1"})
		require.NoError(t, err)
		require.Equal(t, role, standings[0].Role)
		require.ElementsMatch(t, permissions, standings[0].Permissions)
		memberships, err := store.MembershipsOfUser(t.Context(), pool, "user_1", store.Position{}, 1)
		require.NoError(t, err)
		require.Equal(t, role, memberships[0].Role, "lists agree")
		require.ElementsMatch(t, permissions, memberships[0].Permissions)
	}
	requireRole("org:clerk", "org:snapshot:read") // while the role is unknown

	gone := clerksync.Tombstone{OccurredAt: t0 + 2, DeliveryID: "msg_9"}
	changed := clerksync.NewMirror()
	role := clerksync.Role{
		Reference: clerksync.Reference{ID: "role_1"},
		Key:       text("org:accountant", 2), Keys: map[string][]int64{"org:clerk": {t0}, "org:accountant": {t0 + 2}},
		PermissionIDs: texts(2, "perm_1", "perm_2", "perm_unknown"),
	}
	changed.Roles["role_1"] = role
	changed.Permissions["perm_1"] = clerksync.Permission{Reference: clerksync.Reference{ID: "perm_1"}, Key: text("org:a:read", 2)}
	changed.Permissions["perm_2"] = clerksync.Permission{Reference: clerksync.Reference{ID: "perm_2"}, Key: text("org:b:read", 2), Tombstone: gone}
	save(t, pool, changed)
	requireRole("org:accountant", "org:a:read") // its present key, without the snapshot and the deleted permission

	changed = clerksync.NewMirror()
	changed.Roles["role_2"] = clerksync.Role{Reference: clerksync.Reference{ID: "role_2"}, Key: text("org:clerk", 3), Keys: map[string][]int64{"org:clerk": {t0 + 3}}}
	save(t, pool, changed)
	requireRole("org:accountant", "org:a:read") // not the role that took the key later

	role.Tombstone = gone
	changed.Roles["role_1"] = role
	save(t, pool, changed)
	requireRole("org:accountant") // a deleted role permits nothing, not even the snapshot
}
