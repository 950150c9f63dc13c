package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// at is a version of some milliseconds after t0.
func at(after int64) clerksync.Version {
	return clerksync.Version{Rank: clerksync.RankFull, UpdatedAt: t0 + after, Kind: clerksync.KindUpdated, OccurredAt: t0 + after, DeliveryID: "msg_1"}
}

func organization(id string, after int64) clerksync.Organization {
	return clerksync.Organization{ID: id, Name: clerksync.Field[string]{Value: "North", Version: at(after)}}
}

func user(id string, after int64) clerksync.User {
	return clerksync.User{ID: id, FirstName: clerksync.Field[*string]{Value: new("Kim"), Version: at(after)}}
}

func membership(id, organizationID, userID string, after int64) clerksync.Membership {
	return clerksync.Membership{
		ID: id, OrganizationID: organizationID, UserID: userID,
		Role:      clerksync.Field[string]{Value: "org:member", Version: at(after)},
		CreatedAt: clerksync.Field[int64]{Value: t0 + after, Version: at(after)},
	}
}

// mirrorOf puts objects into a mirror.
func mirrorOf(objects ...clerksync.Object) clerksync.Mirror {
	m := clerksync.NewMirror()
	for _, object := range objects {
		switch o := object.(type) {
		case clerksync.Organization:
			m.Organizations[o.ID] = o
		case clerksync.User:
			m.Users[o.ID] = o
		case clerksync.Membership:
			m.Memberships[o.ID] = o
		}
	}
	return m
}

// revision is what the API would tell about an organization.
type revision struct {
	count int64
	asOf  int64 // milliseconds after t0
}

func revisionOf(t *testing.T, db store.DBTX, organizationID string) revision {
	t.Helper()
	standings, err := store.Standings(t.Context(), db, store.Pair{UserID: "user_any", OrganizationID: organizationID})
	require.NoError(t, err)
	s := standings[0]
	if s.AsOf.IsZero() {
		return revision{count: s.Revision}
	}
	return revision{s.Revision, s.AsOf.UnixMilli() - t0}
}

func TestEveryChangeCounts(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	require.Equal(t, revision{}, revisionOf(t, pool, "org_1"), "unknown")
	save(t, pool, mirrorOf(organization("org_1", 1)))
	require.Equal(t, revision{1, 1}, revisionOf(t, pool, "org_1"))
	save(t, pool, mirrorOf(membership("orgmem_1", "org_1", "user_1", 2)))
	require.Equal(t, revision{2, 2}, revisionOf(t, pool, "org_1"))
	save(t, pool, mirrorOf(organization("org_1", 3), membership("orgmem_1", "org_1", "user_1", 3), user("user_1", 4)))
	require.Equal(t, revision{3, 4}, revisionOf(t, pool, "org_1"), "one transaction, one change, its newest instant")
	save(t, pool, mirrorOf(membership("orgmem_2", "org_2", "user_1", 5)))
	require.Equal(t, revision{3, 4}, revisionOf(t, pool, "org_1"), "another's change")
	save(t, pool, clerksync.NewMirror())
	require.Equal(t, revision{3, 4}, revisionOf(t, pool, "org_1"), "no change")
}

func TestAUserCountsWhereverTheUserBelongs(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	gone := membership("orgmem_3", "org_3", "user_1", 1)
	gone.Tombstone = clerksync.Tombstone{OccurredAt: t0 + 1, DeliveryID: "msg_9"}
	save(t, pool, mirrorOf(
		membership("orgmem_1", "org_1", "user_1", 1), membership("orgmem_2", "org_2", "user_1", 1), gone,
		membership("orgmem_4", "org_4", "user_2", 1),
	))
	save(t, pool, mirrorOf(user("user_1", 7)))
	require.Equal(t, revision{2, 7}, revisionOf(t, pool, "org_1"))
	require.Equal(t, revision{2, 7}, revisionOf(t, pool, "org_2"))
	require.Equal(t, revision{2, 7}, revisionOf(t, pool, "org_3"), "where the user was")
	require.Equal(t, revision{1, 1}, revisionOf(t, pool, "org_4"))
	save(t, pool, mirrorOf(user("user_3", 8)))
	require.Equal(t, revision{1, 1}, revisionOf(t, pool, "org_4"), "a user without an organization")
}

func TestAsOfNeverGoesBack(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	save(t, pool, mirrorOf(membership("orgmem_1", "org_1", "user_1", 9)))
	for _, late := range []clerksync.Mirror{
		mirrorOf(organization("org_1", 3)), mirrorOf(membership("orgmem_2", "org_1", "user_2", 2)), mirrorOf(user("user_1", 1)),
	} {
		save(t, pool, late)
		require.EqualValues(t, 9, revisionOf(t, pool, "org_1").asOf)
	}
	require.EqualValues(t, 4, revisionOf(t, pool, "org_1").count)
}

// TestADeletionIsANewInstant although a deleted membership repeats its old updated_at.
func TestADeletionIsANewInstant(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	m := membership("orgmem_1", "org_1", "user_1", 1)
	save(t, pool, mirrorOf(m))
	m.Tombstone = clerksync.Tombstone{OccurredAt: t0 + 60_000, DeliveryID: "msg_2"}
	save(t, pool, mirrorOf(m))
	require.Equal(t, revision{2, time.Minute.Milliseconds()}, revisionOf(t, pool, "org_1"))
}
