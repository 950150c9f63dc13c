package store_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// unpaced is a rate that nothing in these tests reaches.
func unpaced() clerksync.CallRate { return clerksync.CallRate{PerSecond: 1e6, Burst: 1e6} }

// demandOf is a demand for calls of a purpose, with a short window.
func demandOf(client, turn int64, purpose int, want int64) clerksync.CallDemand {
	return clerksync.CallDemand{
		Client: client, Turn: turn, Window: 2, Lasts: 1, Purpose: purpose, Least: want, Want: want, Most: 40,
		Background: unpaced(), Strangers: unpaced(), Charged: unpaced(),
	}
}

// TestLeaseCalls_NoWindowHasMoreThanAllMaySend: clients that lease, send at any moment of the
// lease, tell late or never, and die. Nobody knows of the calls of a client that died but the
// database.
func TestLeaseCalls_NoWindowHasMoreThanAllMaySend(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.New(t)
	var mu sync.Mutex
	var sent []time.Time
	var working sync.WaitGroup
	end := time.Now().Add(20 * time.Second)
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(sent) >= 140 || !time.Now().Before(end)
	}
	for n := range uint64(4) {
		rng := rand.New(rand.NewPCG(n, 1))
		working.Go(func() {
			var own []time.Time
			client, turn := rng.Int64(), int64(0)
			for !enough() {
				if rng.IntN(10) == 0 { // it dies, and another one begins
					client, turn, own = rng.Int64(), 0, nil
				}
				turn++
				began := time.Now()
				d := demandOf(client, turn, rng.IntN(5), 1+rng.Int64N(8))
				d.Least = 1
				for _, at := range own {
					d.Sent = append(d.Sent, clerksync.SentCalls{Age: began.Sub(at).Seconds(), Calls: 1})
				}
				lease, err := store.LeaseCalls(ctx, db, d)
				if err != nil {
					t.Error(err)
					return
				}
				for range lease.Granted {
					<-time.After(time.Duration(rng.Int64N(int64(60 * time.Millisecond))))
					if now := time.Now(); now.Sub(began) < time.Second {
						own = append(own, now)
						mu.Lock()
						sent = append(sent, now)
						mu.Unlock()
					}
				}
				<-time.After(min(lease.Wait, 50*time.Millisecond))
			}
		})
	}
	working.Wait()
	slices.SortFunc(sent, time.Time.Compare)
	for i, at := range sent {
		within := slices.IndexFunc(sent[i:], func(later time.Time) bool { return later.Sub(at) >= 2*time.Second })
		if within < 0 {
			within = len(sent) - i
		}
		require.LessOrEqual(t, within, 40)
	}
	require.Greater(t, len(sent), 100, "they use what there is")
}

// TestLeaseCalls_SharesTheRates of background calls and of strangers, and lets interactive calls be
// paid for by background calls.
func TestLeaseCalls_SharesTheRates(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.New(t)
	lease := func(client int64, purpose int, calls int64) clerksync.CallLease {
		t.Helper()
		d := demandOf(client, time.Now().UnixNano(), purpose, calls)
		d.Most = 1000
		d.Background, d.Strangers = clerksync.CallRate{PerSecond: 0.002, Burst: 4}, clerksync.CallRate{PerSecond: 0.001, Burst: 12}
		d.Charged = clerksync.CallRate{PerSecond: 0.001, Burst: 3}
		got, err := store.LeaseCalls(ctx, db, d)
		require.NoError(t, err)
		return got
	}
	require.EqualValues(t, 1, lease(1, 0, 1).Granted)
	require.EqualValues(t, 3, lease(2, 4, 3).Granted, "background calls pay")
	none := lease(3, 0, 1)
	require.Zero(t, none.Granted, "of all clients together")
	require.InDelta(t, 500, none.Wait.Seconds(), 60)
	require.EqualValues(t, 3, lease(3, 4, 3).Granted, "interactive calls don't wait for a rate")
	require.InDelta(t, 500, lease(3, 0, 1).Wait.Seconds(), 60, "no more is charged")
	require.EqualValues(t, 12, lease(1, 1, 12).Granted)
	strangers := lease(2, 1, 2)
	require.Zero(t, strangers.Granted)
	require.InDelta(t, 2000, strangers.Wait.Seconds(), 60)
}

// TestLeaseCalls_RefusesALateDemand: one that was overtaken by a later demand of its client. What
// that one told stays.
func TestLeaseCalls_RefusesALateDemand(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.New(t)
	d := demandOf(1, 2, 4, 3)
	_, err := store.LeaseCalls(ctx, db, d)
	require.NoError(t, err)
	d.Turn = 1
	_, err = store.LeaseCalls(ctx, db, d)
	require.ErrorContains(t, err, "a later demand")
	counted, err := store.CountedCalls(ctx, db)
	require.NoError(t, err)
	require.EqualValues(t, 3, counted)
}

// TestLeaseCalls_TellsEachPause to all clients, and a shorter one doesn't end a longer one.
func TestLeaseCalls_TellsEachPause(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.New(t)
	for i, paused := range [][]float64{{60, 0, 5}, {1, 2}} {
		d := demandOf(int64(i), 1, 0, 0)
		d.Paused = paused
		_, err := store.LeaseCalls(ctx, db, d)
		require.NoError(t, err)
	}
	background, err := store.LeaseCalls(ctx, db, demandOf(7, 1, 0, 1))
	require.NoError(t, err)
	require.Zero(t, background.Granted)
	require.Len(t, background.Paused, 3)
	require.InDelta(t, 60, background.Paused[0].Seconds(), 20)
	require.Positive(t, background.Paused[2])
	removal, err := store.LeaseCalls(ctx, db, demandOf(7, 2, 4, 3))
	require.NoError(t, err)
	require.EqualValues(t, 3, removal.Granted)
}

// TestLeaseCalls_ForgetsClientsThatAreGone.
func TestLeaseCalls_ForgetsClientsThatAreGone(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.New(t)
	gone := demandOf(1, 1, 4, 3)
	gone.Window, gone.Lasts = 0.001, 0.001
	_, err := store.LeaseCalls(ctx, db, gone)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		d := demandOf(2, time.Now().UnixNano(), 4, 0)
		d.Window = 0.001
		_, err := store.LeaseCalls(ctx, db, d)
		require.NoError(t, err)
		var clients int
		require.NoError(t, db.QueryRow(ctx, "SELECT count(*) FROM rolecall.clerk_calls").Scan(&clients))
		return clients == 1
	}, 20*time.Second, time.Millisecond)
}

// TestLeaseCalls_AfterTheClockIsSetBack: what was dated an hour ahead takes no calls away.
func TestLeaseCalls_AfterTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.New(t)
	d := demandOf(1, 1, 4, 40)
	d.Paused = []float64{50, 50, 50, 50, 50}
	d.Background, d.Strangers, d.Charged = clerksync.CallRate{PerSecond: 2, Burst: 80}, clerksync.CallRate{PerSecond: 1, Burst: 80}, clerksync.CallRate{PerSecond: 1, Burst: 80}
	_, err := store.LeaseCalls(ctx, db, d)
	require.NoError(t, err)
	_, err = db.Exec(ctx, `INSERT INTO rolecall.clerk_calls VALUES (9, 1, ARRAY[clock_timestamp() + interval '1 hour'], '{40}', 40, clock_timestamp() + interval '1 hour')`)
	require.NoError(t, err)
	for _, statement := range []string{
		"UPDATE rolecall.clerk_calls SET held_until = held_until + interval '1 hour'",
		"UPDATE rolecall.clerk_pauses SET until = until + interval '1 hour'",
		`UPDATE rolecall.clerk_pace SET background_due = clock_timestamp() + interval '1 hour', strangers_due = clock_timestamp() + interval '1 hour',
			charged_due = clock_timestamp() + interval '1 hour'`,
	} {
		_, err := db.Exec(ctx, statement)
		require.NoError(t, err)
	}
	counted, err := store.CountedCalls(ctx, db)
	require.NoError(t, err)
	require.Zero(t, counted)
	for purpose := range 3 {
		d.Client, d.Purpose, d.Least, d.Want, d.Paused = int64(10+purpose), purpose, 10, 10, nil
		lease, err := store.LeaseCalls(ctx, db, d)
		require.NoError(t, err)
		require.EqualValues(t, 10, lease.Granted, purpose)
	}
	d.Paused, d.Purpose, d.Least, d.Want, d.Client = []float64{50}, 0, 0, 0, 20
	_, err = store.LeaseCalls(ctx, db, d)
	require.NoError(t, err)
	d.Paused, d.Least, d.Want, d.Client = nil, 1, 1, 21
	lease, err := store.LeaseCalls(ctx, db, d)
	require.NoError(t, err)
	require.Zero(t, lease.Granted, "a new pause counts")
}
