package jobs

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
)

// TestAcknowledged_FindsWhatIsMissing: a process remembers what it acknowledged, repeats too.
func TestAcknowledged_FindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	remembers := &Acknowledged{}
	in, err := NewInbox(InboxConfig{Pool: b.Pool, Logger: b.Logs.Logger(), Acknowledged: remembers})
	require.NoError(t, err)
	defer in.Stop()
	began := time.Now()
	for _, id := range []string{"msg_1", "msg_2", "msg_3", "msg_2"} {
		_, err := in.Accept(t.Context(), mirrortest.Joined(t, id, "orgmem_1", "org_1", "user_1"))
		require.NoError(t, err)
	}
	lost, err := remembers.FindLost(t.Context(), b.Pool)
	require.NoError(t, err)
	require.Empty(t, lost)
	lacks := func() bool {
		lacks, err := remembers.Lacks(t.Context(), b.Pool, began)
		require.NoError(t, err)
		return lacks
	}
	require.False(t, lacks())

	b.Exec(t, "DELETE FROM rolecall.deliveries WHERE svix_id IN ('msg_2', 'msg_3')")
	require.True(t, lacks())
	lost, err = remembers.FindLost(t.Context(), b.Pool)
	require.NoError(t, err)
	require.Len(t, lost, 1)
	require.Equal(t, store.AcknowledgedDelivery, lost[0].Kind)
	require.Equal(t, []string{"msg_2", "msg_3"}, []string{lost[0].Missing[0].ID, lost[0].Missing[1].ID})
	require.False(t, lost[0].More, "all is remembered")
	require.Positive(t, remembers.MarkLost(lost[0]))
	require.Zero(t, remembers.MarkLost(lost[0]), "a second failover finds them again")
	require.False(t, lacks(), "that is known")

	late, err := store.NoteLost(t.Context(), b.Pool, lost[0].Kind, lost[0].Missing, true)
	require.NoError(t, err)
	require.True(t, late, "no change is noted, so no sweep followed one")
	late, err = store.NoteLost(t.Context(), b.Pool, lost[0].Kind, lost[0].Missing, false)
	require.NoError(t, err)
	require.False(t, late, "another process remembers a repeat")
	noted, err := store.ReadLost(t.Context(), b.Pool)
	require.NoError(t, err)
	require.Equal(t, int64(2), noted.Deliveries)
	require.True(t, noted.More)
	require.WithinDuration(t, began, noted.First, time.Minute)
	_, err = in.Accept(t.Context(), mirrortest.Joined(t, "msg_2", "orgmem_1", "org_1", "user_1"))
	require.NoError(t, err)
	noted, err = store.ReadLost(t.Context(), b.Pool)
	require.NoError(t, err)
	require.Equal(t, int64(1), noted.Deliveries, "Clerk sent one again")
}

// TestAcknowledged_OfEachKind: commands are known by their ids, entries also by their hashes.
func TestAcknowledged_OfEachKind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	entry, _, err := store.AppendEvent(t.Context(), b.Pool, store.Event{OrganizationID: "org_1", Actor: "service:a", Action: "a.b", Target: "c", Cause: "service:a"}, store.CommandKey{})
	require.NoError(t, err)
	remembers := &Acknowledged{}
	remembers.Remember(store.AcknowledgedEntry, store.EntryID(entry.ID, entry.Hash))
	found, err := remembers.FindLost(t.Context(), b.Pool)
	require.NoError(t, err)
	require.Empty(t, found)
	remembers.Remember(store.AcknowledgedEntry, store.EntryID(entry.ID, []byte("another")))
	remembers.Remember(store.AcknowledgedCommand, "cmd_1")
	found, err = remembers.FindLost(t.Context(), b.Pool)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, []store.AcknowledgedKind{store.AcknowledgedCommand, store.AcknowledgedEntry}, []store.AcknowledgedKind{found[0].Kind, found[1].Kind})
	require.Len(t, found[1].Missing, 1)
}

// TestAcknowledged_LeavesOldRecordsOut: their life may end while they are remembered, and no
// failover loses them.
func TestAcknowledged_LeavesOldRecordsOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	remembers := &Acknowledged{}
	remembers.RememberSince(store.AcknowledgedCommand, "cmd_old", time.Now().Add(-remembersFor))
	remembers.RememberSince(store.AcknowledgedCommand, "cmd_young", time.Now().Add(time.Minute-remembersFor))
	lost, err := remembers.FindLost(t.Context(), b.Pool)
	require.NoError(t, err)
	require.Len(t, lost, 1)
	require.Len(t, lost[0].Missing, 1)
	require.Equal(t, "cmd_young", lost[0].Missing[0].ID)
}

// TestAcknowledged_ForgetsTheOldest, and says that more than it remembers may be missing.
func TestAcknowledged_ForgetsTheOldest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	remembers := &Acknowledged{}
	for i := range rememberedOthers + 10 {
		remembers.Remember(store.AcknowledgedCommand, fmt.Sprintf("cmd_%d", i))
	}
	lost, err := remembers.FindLost(t.Context(), b.Pool)
	require.NoError(t, err)
	require.Len(t, lost[0].Missing, rememberedOthers)
	require.Equal(t, "cmd_10", lost[0].Missing[0].ID)
	require.Equal(t, fmt.Sprintf("cmd_%d", rememberedOthers+9), lost[0].Missing[rememberedOthers-1].ID)
	require.True(t, lost[0].More)
	sample := remembers.newest(store.AcknowledgedCommand, time.Time{})
	require.Len(t, sample, sampled)
	require.Equal(t, fmt.Sprintf("cmd_%d", rememberedOthers+9), sample[0].id)
	require.Equal(t, "cmd_10", sample[sampled-1].id)
	sample = remembers.newest(store.AcknowledgedCommand, time.Now())
	require.Len(t, sample, 1, "the newest one is always asked about")
}

// BenchmarkAcknowledged is what the memory costs each delivery.
func BenchmarkAcknowledged(b *testing.B) {
	remembers := &Acknowledged{}
	b.ReportAllocs()
	for b.Loop() {
		remembers.Remember(store.AcknowledgedDelivery, "msg_2abcdefghijklmnopqrstuvwxyz")
	}
}
