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
	return clerksync.Organization{Reference: clerksync.Reference{ID: id}, Name: clerksync.Field[string]{Value: "North", Version: at(after)}}
}

func user(id string, after int64) clerksync.User {
	return clerksync.User{Reference: clerksync.Reference{ID: id}, FirstName: clerksync.Field[*string]{Value: new("Kim"), Version: at(after)}}
}

func membership(id, organizationID, userID string, after int64) clerksync.Membership {
	return clerksync.Membership{
		Reference: clerksync.Reference{ID: id, OrganizationID: organizationID, UserID: userID},
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

func standingOf(t *testing.T, db store.DBTX, organizationID string) clerksync.Standing {
	t.Helper()
	standings, err := store.Standings(t.Context(), db, store.Pair{UserID: "user_any", OrganizationID: organizationID})
	require.NoError(t, err)
	return standings[0]
}

// revisionOf returns the revision that the API would show of an organization.
func revisionOf(t *testing.T, db store.DBTX, organizationID string) int {
	t.Helper()
	return int(standingOf(t, db, organizationID).Revision)
}

func TestRevision_EveryChangeCounts(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	require.Zero(t, revisionOf(t, pool, "org_1"), "unknown")
	save(t, pool, mirrorOf(organization("org_1", 1)))
	require.Equal(t, 1, revisionOf(t, pool, "org_1"))
	save(t, pool, mirrorOf(membership("orgmem_1", "org_1", "user_1", 2)))
	require.Equal(t, 2, revisionOf(t, pool, "org_1"))
	save(t, pool, mirrorOf(organization("org_1", 3), membership("orgmem_1", "org_1", "user_1", 3), user("user_1", 4)))
	require.Equal(t, 3, revisionOf(t, pool, "org_1"), "one transaction, one change")
	save(t, pool, mirrorOf(membership("orgmem_2", "org_2", "user_1", 5)))
	require.Equal(t, 3, revisionOf(t, pool, "org_1"), "another's change")
	save(t, pool, clerksync.NewMirror())
	require.Equal(t, 3, revisionOf(t, pool, "org_1"), "no change")
	gone := membership("orgmem_1", "org_1", "user_1", 3)
	gone.Tombstone = clerksync.Tombstone{OccurredAt: t0 + 60_000, DeliveryID: "msg_2"}
	save(t, pool, mirrorOf(gone))
	require.Equal(t, 4, revisionOf(t, pool, "org_1"), "a deletion")
}

func TestRevision_UserCountsInEachOrganization(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	gone := membership("orgmem_3", "org_3", "user_1", 1)
	gone.Tombstone = clerksync.Tombstone{OccurredAt: t0 + 1, DeliveryID: "msg_9"}
	save(t, pool, mirrorOf(
		membership("orgmem_1", "org_1", "user_1", 1), membership("orgmem_2", "org_2", "user_1", 1), gone,
		membership("orgmem_4", "org_4", "user_2", 1),
	))
	save(t, pool, mirrorOf(user("user_1", 7)))
	require.Equal(t, 2, revisionOf(t, pool, "org_1"))
	require.Equal(t, 2, revisionOf(t, pool, "org_2"))
	require.Equal(t, 2, revisionOf(t, pool, "org_3"), "where the user was")
	require.Equal(t, 1, revisionOf(t, pool, "org_4"))
	save(t, pool, mirrorOf(user("user_3", 8)))
	require.Equal(t, 1, revisionOf(t, pool, "org_4"), "a user without an organization")
}

// TestStandings_AsOfIsTheLastCleanSweep of everything. Before the first one it is the
// organization's beginning, and never the time of an event.
func TestStandings_AsOfIsTheLastCleanSweep(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	requireAsOf := func(organizationID string, want int64) {
		t.Helper()
		require.True(t, standingOf(t, pool, organizationID).AsOf.Equal(time.UnixMilli(t0+want)), "%s", standingOf(t, pool, organizationID).AsOf)
	}
	verify := func(organizationID string, after int64) {
		t.Helper()
		require.NoError(t, store.FinishSweep(t.Context(), pool, store.Sweep{
			OrganizationID: organizationID, State: store.SweepClean, StartedAt: time.UnixMilli(t0 + after),
			Progress: []byte("{}"), Report: []byte("{}"),
		}))
	}
	save(t, pool, mirrorOf(organization("org_2", 5), membership("orgmem_1", "org_1", "user_1", 9)))
	require.Zero(t, standingOf(t, pool, "org_2").AsOf, "an event proves nothing about another one")
	created := organization("org_1", 20)
	created.CreatedAt = clerksync.Field[int64]{Value: t0 + 4, Version: at(20)}
	save(t, pool, mirrorOf(created))
	requireAsOf("org_1", 4)
	verify("org_1", 6)
	requireAsOf("org_1", 4) // a sweep of one organization lists no roles
	require.Zero(t, standingOf(t, pool, "org_2").AsOf)
	verify("", 3)
	requireAsOf("org_1", 3) // its roles are older than itself
	verify("", 8)
	requireAsOf("org_1", 8)
	requireAsOf("org_2", 8)
	verify("", 1)
	requireAsOf("org_2", 8)
	require.Equal(t, 2, revisionOf(t, pool, "org_1"), "a sweep that finds nothing changes nothing")
	require.Zero(t, standingOf(t, pool, "org_unknown").AsOf)
}

// TestStandings_AsOfIsNeverInTheFuture: an organization with a creation date in the future doesn't
// look current.
func TestStandings_AsOfIsNeverInTheFuture(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	now, err := store.Now(t.Context(), pool)
	require.NoError(t, err)
	for ahead, asOf := range map[time.Duration]bool{-time.Second: true, 20 * time.Second: true, 2 * time.Minute: false, 200 * 8760 * time.Hour: false} {
		o := organization("org_"+ahead.String(), 1)
		o.CreatedAt = clerksync.Field[int64]{Value: now.Add(ahead).UnixMilli(), Version: at(1)}
		save(t, pool, mirrorOf(o))
		got := standingOf(t, pool, o.ID).AsOf
		require.Equal(t, asOf, !got.IsZero(), "%s", ahead)
		if asOf {
			then, err := store.Now(t.Context(), pool)
			require.NoError(t, err)
			require.WithinRange(t, got, now.Add(min(ahead, 0)).Truncate(time.Millisecond), then)
		}
	}
}
