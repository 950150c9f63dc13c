package merge_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// observed reads a membership as Clerk's API shows it when it is asked now.
func observed(t *testing.T, b *mirrortest.DB, role string, after int64) merge.Observed {
	t.Helper()
	askedAt, err := store.Now(t.Context(), b.Pool)
	require.NoError(t, err)
	shown := []json.RawMessage{mirrortest.JSON(t, mirrortest.Membership(0, role, after))}
	facts, err := merge.Read(clerksync.ResourceMembership, shown, askedAt, "sweep_1")
	require.NoError(t, err)
	return merge.Observed{Facts: facts, AskedAt: askedAt, Cause: "sweep_1"}
}

// observe merges an observation in a transaction of its own.
func observe(t *testing.T, b *mirrortest.DB, o merge.Observed) (m merge.Merged) {
	t.Helper()
	require.NoError(t, merge.NewPool(b.Pool, 0).Tx(t.Context(), "org_1", merge.Retry{}, func(tx pgx.Tx) (err error) {
		m, err = merge.Observation(context.Background(), tx, o)
		return err
	}))
	return m
}

// TestObservation_MergesUnknownObjectsOnce, and a dry run reports them without writing.
func TestObservation_MergesUnknownObjectsOnce(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	o := observed(t, b, "org:member", 0)
	o.DryRun = true
	require.Len(t, observe(t, b, o).Drift, 1)
	require.Empty(t, b.Roles(t))
	o.DryRun = false
	require.Len(t, observe(t, b, o).Drift, 1)
	require.Equal(t, map[string]string{"orgmem_00000": "org:member"}, b.Roles(t))
	require.Len(t, b.Audit(t), 1)

	again := observe(t, b, observed(t, b, "org:member", 0))
	require.Empty(t, again.Facts)
	require.Len(t, b.Audit(t), 1)
}

// TestObservation_OldAnswerIsDoubtful: an old answer changes nothing. Its object isn't doubtful if
// the later version came after Clerk was asked.
func TestObservation_OldAnswerIsDoubtful(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	early := observed(t, b, "org:admin", 0)
	b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.updated", 9001, mirrortest.Membership(0, "org:member", 9000)))
	late := observed(t, b, "org:admin", 0)
	early.SpareNewer, late.SpareNewer = true, true
	require.Empty(t, observe(t, b, early).Doubtful)
	doubtful := observe(t, b, late).Doubtful
	require.Equal(t, []clerksync.Reference{{ID: "orgmem_00000", OrganizationID: "org_1", UserID: "user_00000"}}, doubtful)
	require.Equal(t, "org:member", b.Roles(t)["orgmem_00000"])

	late.Overrule = true
	observe(t, b, late)
	require.Equal(t, "org:admin", b.Roles(t)["orgmem_00000"], "an operator trusts Clerk")
}

// TestObservation_SparesLaterChanges, although the answer is dated later than they are.
func TestObservation_SparesLaterChanges(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	o := observed(t, b, "org:admin", time.Hour.Milliseconds())
	o.SpareNewer = true
	b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.updated", 1, mirrortest.Membership(0, "org:member", 0)))
	for _, f := range observe(t, b, o).Facts {
		require.NotEqual(t, "orgmem_00000", f.Subject)
	}
	require.Equal(t, "org:member", b.Roles(t)["orgmem_00000"])
	o.SpareNewer = false
	observe(t, b, o)
	require.Equal(t, "org:admin", b.Roles(t)["orgmem_00000"])
}
