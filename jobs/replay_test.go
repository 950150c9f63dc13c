package jobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestReplay_AppliesWhatCanBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := mirrortest.UserNamed(t, "msg_foreign", "user_1", "Kim", 1)
	good.Quarantine("an older version did not know better")
	unreadable := clerksync.NewDelivery("msg_unreadable", []byte(`{"type":7,"data":{}}`), time.UnixMilli(mirrortest.T0), time.Now())
	secret := mirrortest.Event(t, "msg_secret", "email.created", 1, map[string]any{"id": "ema_1", "otp_code": "123456"})
	b.Insert(t, good, unreadable, secret, mirrortest.UserNamed(t, "msg_waiting", "user_2", "Robin", 1))
	replayed, err := Replay(t.Context(), b.Pool, mirrortest.InstanceID, []string{"msg_foreign", "msg_unreadable", "msg_secret", "msg_waiting", "msg_none"})
	require.NoError(t, err)
	require.Equal(t, []Replayed{
		{SvixID: "msg_foreign", Enqueued: true},
		{SvixID: "msg_unreadable", Why: `undecodable delivery: member "type" is not of the expected type`},
		{SvixID: "msg_secret", Why: "the ledger has no body: it was pruned, or never kept"},
		{SvixID: "msg_waiting", Why: "it is already waiting to be applied"},
		{SvixID: "msg_none", Why: "not in the ledger: it never came, or it was pruned"},
	}, replayed)
	b.work(t)
	b.UntilState(t, "msg_foreign", clerksync.StateApplied)
	require.Equal(t, "Kim", *b.Mirror(t).Users["user_1"].FirstName.Value)

	replayed, err = Replay(t.Context(), b.Pool, "ins_other", []string{"msg_foreign"})
	require.NoError(t, err)
	require.Equal(t, []Replayed{{SvixID: "msg_foreign", Why: "delivery of another Clerk instance: ins_1"}}, replayed)

	_, err = Replay(t.Context(), b.Pool, mirrortest.InstanceID, []string{"msg_foreign"})
	require.NoError(t, err)
	b.UntilState(t, "msg_foreign", clerksync.StateSuperseded)
}

// TestReplay_OfAppliedDeliveryChangesNothing: only the delivery's state changes. The status still
// shows the original time as that of the last delivery.
func TestReplay_OfAppliedDeliveryChangesNothing(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	came := time.Now().Add(-48 * time.Hour).Truncate(time.Millisecond)
	named, deleted := mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1), mirrortest.Event(t, "msg_2", "user.deleted", 2, map[string]any{"id": "user_1"})
	named.ReceivedAt, deleted.ReceivedAt = came, came
	b.Insert(t, named, deleted)
	for _, id := range []string{"msg_1", "msg_2"} {
		_, err := b.apply(ctx, id)
		require.NoError(t, err)
	}
	before := b.Mirror(t)
	require.True(t, before.Users["user_1"].Tombstone.Dead())

	replayed, err := Replay(ctx, b.Pool, mirrortest.InstanceID, []string{"msg_1", "msg_2"})
	require.NoError(t, err)
	require.Equal(t, []Replayed{{SvixID: "msg_1", Enqueued: true}, {SvixID: "msg_2", Enqueued: true}}, replayed)
	status, err := store.ReadStatus(ctx, b.Pool)
	require.NoError(t, err)
	require.True(t, status.LastDelivery.Equal(came), status.LastDelivery)
	require.EqualValues(t, 2, status.Waiting)
	require.Less(t, status.At.Sub(status.OldestWaiting), time.Hour, "it has waited since its replay, not since it came")
	b.work(t)
	for _, id := range []string{"msg_1", "msg_2"} {
		b.UntilState(t, id, clerksync.StateSuperseded)
		entry, err := store.FindLedgerRow(ctx, b.Pool, id)
		require.NoError(t, err)
		require.True(t, entry.ReceivedAt.Equal(came))
		require.WithinRange(t, *entry.ReplayedAt, status.At.Add(-time.Hour), status.At)
	}
	require.Equal(t, before, b.Mirror(t))
}

func TestPrune_ForgetsOldBodies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := time.Now().Add(-48 * time.Hour)
	for id, state := range map[string]clerksync.State{
		"msg_applied": clerksync.StateApplied, "msg_superseded": clerksync.StateSuperseded, "msg_ignored": clerksync.StateIgnored,
		"msg_quarantined": clerksync.StateQuarantined, "msg_young": clerksync.StateApplied,
	} {
		d := mirrortest.UserNamed(t, id, "user_1", "Kim", 1)
		d.State, d.ReceivedAt = state, old
		if id == "msg_young" {
			d.ReceivedAt = time.Now()
		}
		b.Insert(t, d)
	}
	cfg := b.workersConfig()
	cfg.Retention.Bodies = 24 * time.Hour
	w, err := NewWorkers(cfg)
	require.NoError(t, err)
	start(t, w) // the leader prunes
	mirrortest.Eventually(t, func() bool { return b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE body IS NULL") == 3 })
	require.Equal(t, 3, b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE body IS NULL AND svix_id IN ('msg_applied', 'msg_superseded', 'msg_ignored')"))
	require.Equal(t, 5, b.Count(t, "SELECT count(*) FROM rolecall.deliveries"), "the rows stay")
}

func TestEnqueue_RevocationsHaveTheirOwnQueue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	member := func(id, event_, role string) clerksync.Delivery {
		return mirrortest.Event(t, id, "organizationMembership."+event_, 1, map[string]any{
			"id": "orgmem_1", "role": role, "organization": map[string]any{"id": "org_1"}, "public_user_data": map[string]any{"user_id": "user_1"},
		})
	}
	user := func(id string, data map[string]any) clerksync.Delivery {
		data["id"] = "user_1"
		return mirrortest.Event(t, id, "user.updated", 1, data)
	}
	for queue, deliveries := range map[string][]clerksync.Delivery{
		QueueRevocations: {
			member("msg_removed", "deleted", "org:member"), member("msg_demoted", "updated", "org:member"),
			user("msg_banned", map[string]any{"banned": true}), user("msg_deprovisioned", map[string]any{"deprovisioned": true}),
			mirrortest.Event(t, "msg_user_deleted", "user.deleted", 1, map[string]any{"id": "user_1"}),
			mirrortest.Event(t, "msg_org_deleted", "organization.deleted", 1, map[string]any{"id": "org_1"}),
			mirrortest.Event(t, "msg_role", "role.updated", 1, map[string]any{"id": "role_1"}),
		},
		QueueApply: {
			member("msg_joined", "created", "org:member"), member("msg_promoted", "updated", "org:admin"),
			user("msg_named", map[string]any{"first_name": "Kim", "banned": false}),
			mirrortest.Event(t, "msg_org", "organization.updated", 1, map[string]any{"id": "org_1"}),
		},
	} {
		for _, d := range deliveries {
			accept(t, in, d)
			var got string
			require.NoError(t, b.Pool.QueryRow(t.Context(),
				"SELECT queue FROM rolecall.river_job WHERE args @> jsonb_build_object('svix_ids', jsonb_build_array($1::text))", d.ID).Scan(&got))
			require.Equal(t, queue, got, d.ID)
		}
	}
	b.work(t)
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE state = 'received'") == 0
	}, "both are worked")
}
