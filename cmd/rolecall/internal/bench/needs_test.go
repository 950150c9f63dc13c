package bench_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// BenchmarkNeeds measures what judging the workspaces of a large instance costs the database: a
// whole round without its pauses, its longest slice, a page of the list, and its largest workspace.
// It needs the database that [keptLarge] names.
func BenchmarkNeeds(b *testing.B) {
	if os.Getenv(keptLarge) == "" {
		return
	}
	cfg, err := pgxpool.ParseConfig(largeURL(b, largest()))
	require.NoError(b, err)
	cfg.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan" // as the workers' sessions
	cfg.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
	cfg.ConnConfig.RuntimeParams["jit"] = "off"
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	_, err = pool.Exec(b.Context(), `INSERT INTO rolecall.policy_reading (read_at) VALUES (now()) ON CONFLICT DO NOTHING`)
	require.NoError(b, err)
	for b.Loop() {
		for _, round := range []string{"first", "second"} {
			took := judgeAll(b, pool)
			b.ReportMetric(float64(len(took)), round+"-slices")
			b.ReportMetric(sum(took).Seconds(), round+"-s")
			b.ReportMetric(float64(slices.Max(took).Milliseconds()), round+"-longest-ms")
		}
		b.ReportMetric(millisecondsOf(b, func() error {
			_, _, err := store.WorkspacesNeeding(b.Context(), pool, clerksync.NeedSingleManager, store.NeedPosition{}, 50)
			return err
		}), "page-ms")
		b.ReportMetric(millisecondsOf(b, func() error {
			_, err := store.WorkspaceAttention(b.Context(), pool, "org_200000000000000000000000000")
			return err
		}), "largest-ms")
		b.ReportMetric(millisecondsOf(b, func() error {
			_, err := store.ReadAttentionState(b.Context(), pool)
			return err
		}), "state-ms")
	}
	b.ReportMetric(0, "ns/op")
}

// judgeAll makes one round, and returns how long each slice took.
func judgeAll(b *testing.B, pool *pgxpool.Pool) (took []time.Duration) {
	b.Helper()
	_, err := pool.Exec(b.Context(), "UPDATE rolecall.needs SET since = since - interval '2 minutes'")
	require.NoError(b, err)
	require.NoError(b, store.BeginNeedsRound(b.Context(), pool))
	for after, last := "", false; !last; {
		began := time.Now()
		judged, err := store.JudgeSlice(b.Context(), pool, after, began, 1000, 20_000)
		require.NoError(b, err)
		require.NoError(b, pgx.BeginFunc(b.Context(), pool, func(tx pgx.Tx) error {
			return store.SaveSlice(b.Context(), tx, judged, began.Add(-time.Minute), time.Since(began))
		}))
		took = append(took, time.Since(began))
		after, last = judged.Until, judged.Last
	}
	return took
}

func sum(took []time.Duration) (all time.Duration) {
	for _, d := range took {
		all += d
	}
	return all
}

// millisecondsOf returns the median time of nine calls.
func millisecondsOf(b *testing.B, do func() error) float64 {
	b.Helper()
	var took []float64
	for range 9 {
		began := time.Now()
		require.NoError(b, do())
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	return median(took)
}
