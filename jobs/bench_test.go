package jobs

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
	clerksync "github.com/callmine/rolecall/sync"
)

// benchPool opens a pool on a durable server: fsync on, as in production.
func benchPool(b *testing.B, url string, conns int32) *pgxpool.Pool {
	b.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	require.NoError(b, err)
	cfg.MaxConns = conns
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	return pool
}

// body1400 is a membership event of the size that Clerk's have.
func body1400(b *testing.B, id string, n int) clerksync.Delivery {
	b.Helper()
	return mirrortest.Event(b, id, "organizationMembership.created", 1, map[string]any{
		"id": fmt.Sprintf("orgmem_%d", n), "role": "org:member", "created_at": mirrortest.T0, "updated_at": mirrortest.T0,
		"organization":     map[string]any{"id": fmt.Sprintf("org_%d", n%500), "name": "North"},
		"public_user_data": map[string]any{"user_id": fmt.Sprintf("user_%d", n), "first_name": "Kim", "image_url": fmt.Sprintf("%01000d", n)},
	})
}

// measured interleaves two measurements and reports the median of the first, of the second, and of
// their ratio.
func measured(b *testing.B, unit string, floor, own func(round int) float64) {
	b.Helper()
	var floors, owns, ratios []float64
	for b.Loop() {
		for round := range 5 {
			f, o := floor(round), own(round)
			floors, owns, ratios = append(floors, f), append(owns, o), append(ratios, o/f)
		}
	}
	median := func(v []float64) float64 { slices.Sort(v); return v[len(v)/2] }
	b.ReportMetric(median(floors), "floor_"+unit)
	b.ReportMetric(median(owns), unit)
	b.ReportMetric(median(ratios), "x_of_floor")
	b.ReportMetric(0, "ns/op")
}

const floorTable = "CREATE TABLE floor (id text PRIMARY KEY, body text NOT NULL)"

// BenchmarkAccept accepts deliveries durably from 64 callers. Its floor, measured beside it, is as
// many callers that insert one row each.
func BenchmarkAccept(b *testing.B) {
	const callers, each = 64, 60
	url := pgtest.DurableURL(b)
	pool := benchPool(b, url, callers)
	_, err := pool.Exec(b.Context(), floorTable)
	require.NoError(b, err)
	inbox, err := NewInbox(InboxConfig{Pool: benchPool(b, url, 4), Logger: (&testlog.Lines{}).Logger()})
	require.NoError(b, err)
	b.Cleanup(inbox.Stop)
	n := 0
	measure := func(do func(d clerksync.Delivery) error) float64 {
		deliveries := make([][]clerksync.Delivery, callers)
		for i := range deliveries {
			for range each {
				n++
				deliveries[i] = append(deliveries[i], body1400(b, fmt.Sprintf("msg_%d", n), n))
			}
		}
		var group errgroup.Group
		start := time.Now()
		for _, mine := range deliveries {
			group.Go(func() error {
				for _, d := range mine {
					if err := do(d); err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(b, group.Wait())
		return callers * each / time.Since(start).Seconds()
	}
	measured(b, "deliveries/s", func(int) float64 {
		return measure(func(d clerksync.Delivery) error {
			_, err := pool.Exec(b.Context(), "INSERT INTO floor (id, body) VALUES ($1, $2)", d.ID, string(d.Body))
			return err
		})
	}, func(int) float64 {
		return measure(func(d clerksync.Delivery) error {
			_, err := inbox.Accept(b.Context(), d)
			return err
		})
	})
}

// BenchmarkDrain works a backlog. Its floor, measured beside it, is one client that inserts one row
// at a time.
func BenchmarkDrain(b *testing.B) {
	const backlog, inserts = 10_000, 1_000
	url := pgtest.DurableURL(b)
	pool := benchPool(b, url, 4)
	_, err := pool.Exec(b.Context(), floorTable)
	require.NoError(b, err)
	n := 0
	measured(b, "deliveries/s", func(int) float64 {
		start := time.Now()
		for range inserts {
			n++
			_, err := pool.Exec(b.Context(), "INSERT INTO floor (id, body) VALUES ($1, $2)", fmt.Sprint(n), fmt.Sprintf("%01400d", n))
			require.NoError(b, err)
		}
		return inserts / time.Since(start).Seconds()
	}, func(round int) float64 {
		client, err := NewInbox(InboxConfig{Pool: pool, Logger: (&testlog.Lines{}).Logger()})
		require.NoError(b, err)
		var group errgroup.Group
		group.SetLimit(64)
		for i := range backlog {
			d := body1400(b, fmt.Sprintf("msg_%d_%d", round, i), round*backlog+i)
			group.Go(func() error {
				_, err := client.Accept(b.Context(), d)
				return err
			})
		}
		require.NoError(b, group.Wait())
		client.Stop()
		w, err := NewWorkers(WorkersConfig{Pool: benchPool(b, url, 24), Queue: benchPool(b, url, 6), Logger: (&testlog.Lines{}).Logger()})
		require.NoError(b, err)
		start := time.Now()
		require.NoError(b, w.Start(b.Context()))
		for waiting := true; waiting; {
			rows, err := pool.Query(b.Context(), "SELECT EXISTS (SELECT FROM rolecall.deliveries WHERE state = 'received'), pg_sleep(0.01)::text")
			require.NoError(b, err)
			waiting, err = pgx.CollectExactlyOneRow(rows, func(r pgx.CollectableRow) (yes bool, err error) { return yes, r.Scan(&yes, nil) })
			require.NoError(b, err)
		}
		rate := backlog / time.Since(start).Seconds()
		require.NoError(b, w.Stop(b.Context()))
		return rate
	})
}
