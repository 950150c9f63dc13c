package jobs

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// lifetime returns the deliveries of a small history in which every kind of event occurs that the
// mirror needs.
func lifetime(t *testing.T) []clerksync.Delivery {
	t.Helper()
	world, err := clerksim.New(clerksim.Config{Seed: 1})
	require.NoError(t, err)
	must := func(_ any, err error) {
		t.Helper()
		require.NoError(t, err)
	}
	admin, err := world.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	member, err := world.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	o, err := world.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(t, err)
	must(world.AddMember(o.ID, member.ID, ""))
	must(world.SetRole(o.ID, member.ID, clerksim.RoleAdmin))
	must(world.UpdateOrganization(o.ID, clerksim.OrganizationUpdate{Name: new("Renamed")}))
	must(world.BanUser(member.ID))
	must(nil, world.RemoveMember(o.ID, member.ID))
	must(nil, world.DeleteUser(member.ID))
	other, err := world.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(t, err)
	must(nil, world.DeleteOrganization(other.ID))

	var deliveries []clerksync.Delivery
	for _, m := range world.Drain() {
		deliveries = append(deliveries, clerksync.NewDelivery(m.ID, m.Body, time.Now(), time.Now()))
	}
	return deliveries
}

func TestApply_EveryEventType(t *testing.T) {
	t.Parallel()
	deliveries := lifetime(t)
	types := map[string]bool{}
	for _, d := range deliveries {
		types[string(d.Type)] = true
	}
	require.Equal(t, []string{
		"organization.created", "organization.deleted", "organization.updated", "organizationMembership.created",
		"organizationMembership.deleted", "organizationMembership.updated", "user.created", "user.deleted", "user.updated",
	}, sortedKeys(types))

	for name, size := range map[string]int{"one by one": 1, "all in one batch": len(deliveries)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Insert(t, deliveries...)
			for batch := range slices.Chunk(mirrortest.IDs(deliveries), size) {
				finished, err := b.apply(t.Context(), batch...)
				require.NoError(t, err)
				require.Len(t, finished, len(batch))
			}
			require.Equal(t, mirrortest.Play(t, deliveries...), b.Mirror(t), "as without a database")
			for _, d := range deliveries {
				got := b.Ledger(t, d.ID)
				require.Contains(t, []string{"applied", "superseded"}, got.State)
				require.NotNil(t, got.AppliedAt)
			}
		})
	}
}

func TestApply_MixedBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deliveries := []clerksync.Delivery{
		mirrortest.UserNamed(t, "msg_1", "user_1", "New", 2),
		mirrortest.UserNamed(t, "msg_2", "user_1", "Old", 1),
		mirrortest.Event(t, "msg_3", "session.created", 1, map[string]any{"id": "sess_1"}),
		mirrortest.Event(t, "msg_4", "user.updated", 1, map[string]any{"id": "org_1"}),
		mirrortest.UserNamed(t, "msg_5", "user_2", "Robin", 1),
	}
	b.Insert(t, deliveries...)
	finished, err := b.apply(t.Context(), append(mirrortest.IDs(deliveries), "msg_unknown")...)
	require.NoError(t, err)
	require.Equal(t, map[string]clerksync.State{
		"msg_1": clerksync.StateApplied, "msg_2": clerksync.StateApplied, // in the order in which they occurred
		"msg_4": clerksync.StateQuarantined, "msg_5": clerksync.StateApplied,
	}, mirrortest.States(finished))
	for id, state := range mirrortest.States(finished) {
		require.Equal(t, string(state), b.Ledger(t, id).State)
	}
	undecodable := b.Ledger(t, "msg_4")
	require.Contains(t, undecodable.LastError, `member "id" is not a user_… id`)
	require.Nil(t, undecodable.AppliedAt)
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE svix_id = 'msg_3' AND state = 'ignored'"), "at the door")
	require.Equal(t, []string{"user_1", "user_2"}, sortedKeys(b.Mirror(t).Users))
	require.Equal(t, "New", *b.Mirror(t).Users["user_1"].FirstName.Value)
}

func TestApply_SecondRunFindsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Insert(t, mirrortest.Joined(t, "msg_1", "orgmem_1", "org_1", "user_1"))
	finished, err := b.apply(t.Context(), "msg_1")
	require.NoError(t, err)
	require.Len(t, finished, 1)
	appliedAt := b.Ledger(t, "msg_1").AppliedAt
	finished, err = b.apply(t.Context(), "msg_1")
	require.NoError(t, err)
	require.Empty(t, finished)
	require.Equal(t, appliedAt, b.Ledger(t, "msg_1").AppliedAt)
	require.Equal(t, 1, b.Count(t, "SELECT revision FROM rolecall.revisions WHERE organization_id = 'org_1'"))
}

// TestApply_OverlappingJobsApplyEachDeliveryOnce runs two jobs with some deliveries in common at
// the same time. Only one of them applies each delivery.
func TestApply_OverlappingJobsApplyEachDeliveryOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ids []string
	for n := range 12 {
		d := mirrortest.Joined(t, fmt.Sprintf("msg_%02d", n), fmt.Sprintf("orgmem_%d", n), "org_1", fmt.Sprintf("user_%d", n%3))
		b.Insert(t, d)
		ids = append(ids, d.ID)
	}
	release := b.Hold(t, "SELECT FROM rolecall.deliveries WHERE svix_id = 'msg_05' FOR UPDATE")
	finished := make([][]clerksync.Delivery, 2)
	var wg sync.WaitGroup
	for i, share := range [][]string{ids[:8], ids[4:]} {
		wg.Go(func() {
			var err error
			if finished[i], err = b.apply(t.Context(), share...); err != nil {
				t.Error(err)
			}
		})
	}
	b.UntilBlocked(t, 2)
	release()
	wg.Wait()
	require.Len(t, slices.Concat(finished...), len(ids))
	require.Len(t, mirrortest.States(slices.Concat(finished...)), len(ids), "no delivery was applied twice")
	require.Len(t, b.Mirror(t).Memberships, len(ids))
}

// TestApply_ConcurrentBatchesDoNotDeadlock sends many deliveries about few objects through small
// batches and many workers, in orders that differ from batch to batch.
func TestApply_ConcurrentBatchesDoNotDeadlock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var deliveries []clerksync.Delivery
	for n := range 120 {
		m := n / 2 % 6
		d := mirrortest.Joined(t, fmt.Sprintf("msg_%03d", (n*37)%120), fmt.Sprintf("orgmem_%d", m), fmt.Sprintf("org_%d", m%2), fmt.Sprintf("user_%d", m%3))
		if n%2 == 0 {
			d = mirrortest.UserNamed(t, d.ID, fmt.Sprintf("user_%d", n%3), "Kim", int64(n))
		}
		deliveries = append(deliveries, d)
	}
	b.Insert(t, deliveries...)
	batches := make(chan []string)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for batch := range batches {
				if _, err := b.apply(t.Context(), batch...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for batch := range slices.Chunk(mirrortest.IDs(deliveries), 10) {
		batches <- batch
	}
	close(batches)
	wg.Wait()
	require.Equal(t, mirrortest.Play(t, deliveries...), b.Mirror(t))
}
