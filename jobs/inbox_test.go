package jobs

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/internal/testlog"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestInbox_CommitsDeliveryAndJobTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	d := mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1)
	require.Equal(t, clerksync.Receipt{Stored: true}, accept(t, in, d))
	require.Equal(t, mirrortest.Row{State: "received", Body: string(d.Body)}, b.Ledger(t, "msg_1"))
	jobs := b.jobs(t)
	require.Len(t, jobs, 1)
	require.Equal(t, job{ID: jobs[0].ID, State: "available", SvixIDs: []string{"msg_1"}}, jobs[0])
}

func TestInbox_StoresNoDeliveryWithoutJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	b.Exec(t, raising("rolecall.river_job", `NEW.args ->> 'svix_ids' LIKE '%msg_1%'`))
	_, err := in.Accept(t.Context(), mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	require.ErrorContains(t, err, "poison")
	require.Zero(t, b.Ledger(t, "msg_1"))
	b.Exec(t, "DROP TRIGGER poison ON rolecall.river_job")
	accept(t, in, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	require.Equal(t, "received", b.Ledger(t, "msg_1").State)
}

// raising returns SQL that makes Postgres refuse rows of a table.
func raising(table, when string) string {
	return `CREATE OR REPLACE FUNCTION rolecall.poison() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'poison'; END $$;
		CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON ` + table + ` FOR EACH ROW WHEN (` + when + `)
		EXECUTE FUNCTION rolecall.poison()`
}

func TestInbox_RepeatDoesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	d := mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1)
	accept(t, in, d)
	require.Equal(t, clerksync.Receipt{}, accept(t, in, d))
	other := mirrortest.UserNamed(t, "msg_1", "user_1", "Robin", 1)
	require.Equal(t, clerksync.Receipt{Differs: true}, accept(t, in, other))
	require.Equal(t, string(d.Body), b.Ledger(t, "msg_1").Body, "the first body is kept")

	_, err := b.apply(t.Context(), "msg_1")
	require.NoError(t, err)
	require.Equal(t, clerksync.Receipt{}, accept(t, in, d), "also once it is applied")
	require.Equal(t, "applied", b.Ledger(t, "msg_1").State)
	require.Len(t, b.jobs(t), 1)
}

// occupy gives each collector one delivery while commits are held, so that the next ones have to
// wait.
func (b *bundle) occupy(t *testing.T, in *Inbox, wg *sync.WaitGroup) {
	t.Helper()
	for n := range collectors {
		d := mirrortest.UserNamed(t, fmt.Sprintf("msg_before%d", n), "user_before", "Kim", 1)
		wg.Go(func() {
			if _, err := in.Accept(t.Context(), d); err != nil {
				t.Error(err)
			}
		})
		b.UntilBlocked(t, n+1)
	}
}

// batch makes the inbox commit the given deliveries in one statement: others occupy its
// collectors meanwhile.
func (b *bundle) batch(t *testing.T, in *Inbox, deliveries ...clerksync.Delivery) (receipts []clerksync.Receipt, errs []error) {
	t.Helper()
	release := b.holdCommits(t)
	var wg sync.WaitGroup
	receipts, errs = make([]clerksync.Receipt, len(deliveries)), make([]error, len(deliveries))
	b.occupy(t, in, &wg)
	for i, d := range deliveries {
		wg.Go(func() { receipts[i], errs[i] = in.Accept(t.Context(), d) })
		mirrortest.Eventually(t, func() bool { return len(in.waiting) == i+1 })
	}
	release()
	wg.Wait()
	return receipts, errs
}

// requireJobs checks which deliveries the jobs carry; jobs of one commit have no order.
func requireJobs(t *testing.T, b *bundle, want ...[]string) {
	t.Helper()
	jobs := b.jobs(t)
	got := make([][]string, len(jobs))
	for i, j := range jobs {
		got[i] = j.SvixIDs
	}
	require.ElementsMatch(t, want, got)
}

func TestInbox_StoresOneOfSeveralCopiesInABatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, other := mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1), mirrortest.UserNamed(t, "msg_1", "user_1", "Robin", 1)
	second := mirrortest.UserNamed(t, "msg_2", "user_2", "Robin", 1)
	receipts, errs := b.batch(t, b.inbox(t), first, first, other, second)
	require.Equal(t, make([]error, 4), errs)
	require.Equal(t, []clerksync.Receipt{{Stored: true}, {}, {Differs: true}, {Stored: true}}, receipts)
	require.Equal(t, string(first.Body), b.Ledger(t, "msg_1").Body)
	requireJobs(t, b, []string{"msg_before0"}, []string{"msg_1", "msg_2"})
}

// TestInbox_KeepsGoodCopyBehindQuarantinedOne: the good copy must be kept, because both are
// acknowledged and Clerk sends neither again.
func TestInbox_KeepsGoodCopyBehindQuarantinedOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1)
	broken := clerksync.NewDelivery("msg_1", []byte("{"), good.ReceivedAt, good.ReceivedAt)
	receipts, errs := b.batch(t, b.inbox(t), broken, good)
	require.Equal(t, make([]error, 2), errs)
	require.Equal(t, []clerksync.Receipt{{Differs: true}, {Stored: true}}, receipts)
	require.Equal(t, mirrortest.Row{State: "received", Body: string(good.Body)}, b.Ledger(t, "msg_1"))
	requireJobs(t, b, []string{"msg_before0"}, []string{"msg_1"})
}

func TestInbox_OnlyRefusedDeliveryOfBatchFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	b.Exec(t, raising("rolecall.deliveries", "NEW.svix_id = 'msg_3'"))
	var deliveries []clerksync.Delivery
	for i := range 6 {
		deliveries = append(deliveries, mirrortest.UserNamed(t, fmt.Sprintf("msg_%d", i), "user_1", "Kim", 1))
	}
	receipts, errs := b.batch(t, in, deliveries...)
	for i, d := range deliveries {
		if d.ID == "msg_3" {
			require.ErrorContains(t, errs[i], "poison")
			require.Zero(t, b.Ledger(t, d.ID))
			continue
		}
		require.NoError(t, errs[i])
		require.Equal(t, clerksync.Receipt{Stored: true}, receipts[i])
		require.Equal(t, "received", b.Ledger(t, d.ID).State)
	}
	require.Len(t, b.jobs(t), collectors+len(deliveries)-1)
}

// TestInbox_RefusedCopyLeavesTheNewDeliveries: they were committed before the database refused a
// copy of the same batch, and their callers must hear so.
func TestInbox_RefusedCopyLeavesTheNewDeliveries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	copies := [2]clerksync.Delivery{mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1), mirrortest.UserNamed(t, "msg_2", "user_2", "Kim", 1)}
	for _, d := range copies {
		accept(t, in, clerksync.NewDelivery(d.ID, []byte("{"), d.ReceivedAt, d.ReceivedAt))
	}
	b.Exec(t, raising("rolecall.deliveries", "false")+`; CREATE TRIGGER keep BEFORE DELETE ON rolecall.deliveries
		FOR EACH ROW WHEN (OLD.svix_id = 'msg_1') EXECUTE FUNCTION rolecall.poison()`)
	receipts, errs := b.batch(t, in, copies[0], mirrortest.UserNamed(t, "msg_3", "user_3", "Kim", 1), copies[1])
	require.ErrorContains(t, errs[0], "poison")
	require.NoError(t, errs[1])
	require.NoError(t, errs[2])
	require.Equal(t, []clerksync.Receipt{{Stored: true}, {Stored: true, Differs: true}}, receipts[1:])
	requireJobs(t, b, []string{"msg_before0"}, []string{"msg_3"}, []string{"msg_2"})
}

func TestInbox_ReplacesQuarantinedCopy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	good := mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1)
	broken := clerksync.NewDelivery("msg_1", []byte(`{"type":`), good.ReceivedAt, good.ReceivedAt)
	require.Equal(t, clerksync.Receipt{Stored: true, Quarantined: true}, accept(t, in, broken))
	require.Equal(t, "quarantined", b.Ledger(t, "msg_1").State)
	require.NotEmpty(t, b.Ledger(t, "msg_1").LastError)
	require.Empty(t, b.jobs(t), "there is nothing to apply")

	require.Equal(t, clerksync.Receipt{Stored: true, Differs: true}, accept(t, in, good))
	require.Equal(t, mirrortest.Row{State: "received", Body: string(good.Body)}, b.Ledger(t, "msg_1"))
	b.work(t)
	b.UntilState(t, "msg_1", clerksync.StateApplied)
	require.Equal(t, "Kim", *b.Mirror(t).Users["user_1"].FirstName.Value)
}

func TestInbox_QuarantinesDeliveriesOfOtherInstances(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	from := func(id, instance string) clerksync.Delivery {
		body := `{"type":"user.deleted","timestamp":1790000000000,"data":{"id":"user_1"}` + instance + `}`
		return clerksync.NewDelivery(id, []byte(body), time.Now(), time.Now())
	}
	require.Equal(t, clerksync.Receipt{Stored: true, Quarantined: true}, accept(t, in, from("msg_foreign", `,"instance_id":"ins_2"`)))
	require.Contains(t, b.Ledger(t, "msg_foreign").LastError, "ins_2")
	require.Equal(t, clerksync.Receipt{Stored: true}, accept(t, in, from("msg_own", `,"instance_id":"ins_1"`)))
	require.Equal(t, clerksync.Receipt{Stored: true}, accept(t, in, from("msg_old", ``)), "a body of 2024 names no instance")

	anyInstance, err := NewInbox(InboxConfig{Pool: b.Pool, Logger: b.Logs.Logger()})
	require.NoError(t, err)
	t.Cleanup(anyInstance.Stop)
	require.Equal(t, clerksync.Receipt{Stored: true}, accept(t, anyInstance, from("msg_any", `,"instance_id":"ins_2"`)))
	require.Equal(t, clerksync.Receipt{Stored: true}, accept(t, anyInstance, from("msg_foreign", `,"instance_id":"ins_2"`)),
		"once the instance is known to be ours, a replay gets in")
}

func TestInbox_SharesDatabaseWithAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	inboxes := []*Inbox{b.inbox(t), b.inbox(t)}
	var stored [20]int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, in := range inboxes {
		for n := range stored {
			wg.Go(func() {
				receipt, err := in.Accept(t.Context(), mirrortest.UserNamed(t, fmt.Sprintf("msg_%02d", n), fmt.Sprintf("user_%d", n), "Kim", 1))
				if err != nil {
					t.Error(err)
				}
				if receipt.Stored {
					mu.Lock()
					defer mu.Unlock()
					stored[n]++
				}
			})
		}
	}
	wg.Wait()
	for n, times := range stored {
		require.Equal(t, 1, times, "msg_%02d", n)
	}
	seen := map[string]int{}
	for _, j := range b.jobs(t) {
		for _, id := range j.SvixIDs {
			seen[id]++
		}
	}
	require.Len(t, seen, len(stored))
	for id, times := range seen {
		require.Equal(t, 1, times, id)
	}
	b.work(t)
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE state = 'applied'") == len(stored)
	})
}

func TestConfig_NamesMissingFields(t *testing.T) {
	t.Parallel()
	_, err := NewInbox(InboxConfig{Logger: (&testlog.Lines{}).Logger()})
	require.ErrorContains(t, err, "Pool")
	_, err = NewInbox(InboxConfig{Pool: setup(t).Pool})
	require.ErrorContains(t, err, "Logger")
	_, err = NewWorkers(WorkersConfig{Logger: (&testlog.Lines{}).Logger()})
	require.ErrorContains(t, err, "Pool")
	_, err = NewWorkers(WorkersConfig{Pool: setup(t).Pool})
	require.ErrorContains(t, err, "Logger")
}
