package service_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/jobs/sweep"
)

// BenchmarkSweep measures sweeps from the simulated Clerk over HTTP into a durable Postgres: the
// first, which fills the mirror, and the next, which finds nothing to do. Without a budget, it
// reports memberships per second and how far the heap rose (peak-MB), which should be the same for
// ten times as many memberships. With a production instance's budget of 20 calls per second, it
// reports the time as a multiple of its floor: calls divided by the budget.
func BenchmarkSweep(b *testing.B) {
	for _, c := range []struct {
		organizations, members int
		rate                   float64
	}{{500, 10_000, 0}, {5_000, 100_000, 0}, {5_000, 100_000, 20}} {
		name := fmt.Sprintf("%d", c.members)
		if c.rate > 0 {
			name += fmt.Sprintf("/at-%g-calls-per-second", c.rate)
		}
		b.Run(name, func(b *testing.B) {
			s := newSweepBench(b, c.organizations, c.members, c.rate)
			for b.Loop() {
				for _, pass := range []string{"first", "next"} {
					report, took, peak := s.run(b)
					if c.rate > 0 {
						b.ReportMetric(took.Seconds()/(float64(report.Calls)/c.rate), pass+"-x-floor")
						continue
					}
					b.ReportMetric(float64(c.members)/took.Seconds(), pass+"-memberships/s")
					b.ReportMetric(peak, pass+"-peak-MB")
				}
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

type sweepBench struct{ sweeper *sweep.Sweeper }

func newSweepBench(b *testing.B, organizations, members int, rate float64) sweepBench {
	b.Helper()
	url, key := startPopulated(b, organizations, members)
	if rate == 0 {
		rate = 1e6
	}
	pool, err := pgpool.Open(b.Context(), pgpool.Config{URL: pgtest.DurableURL(b), Name: "sweep", Needs: database.SweepNeeds()})
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	client, err := clerkapi.New(clerkapi.Config{
		URL: url + "/v1", SecretKey: key, CallsPerSecond: rate, Lease: database.LeaseCalls(pool), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	b.Cleanup(client.Close)
	sweeper, err := sweep.New(sweep.Config{Pool: pool, Clerk: client, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	return sweepBench{sweeper}
}

// populatedClerk is the variable with the size of the world, for a process that is only a simulated
// Clerk.
const populatedClerk = "ROLECALL_TEST_POPULATED_CLERK"

// startPopulated starts a simulated Clerk in a process of its own, so that its memory isn't
// counted, and returns its URL and secret key.
func startPopulated(b *testing.B, organizations, members int) (url, key string) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", populatedClerk, organizations, members))
	stdin, err := cmd.StdinPipe() // closing it ends the process, even if this one dies
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	_, err = fmt.Fscanln(bufio.NewReader(stdout), &url, &key)
	require.NoError(b, err)
	return url, key
}

// servePopulated is that process. It ends with its standard input.
func servePopulated(size string) int {
	var organizations, members int
	if _, err := fmt.Sscan(size, &organizations, &members); err != nil {
		return 1
	}
	world, err := clerksim.New(clerksim.Config{EnvironmentType: "production"})
	if err != nil {
		return 1
	}
	world.Populate(organizations, members)
	server := httptest.NewServer(world.Handler())
	defer server.Close()
	fmt.Fprintln(os.Stdout, server.URL, world.SecretKey())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// run sweeps once, and watches the heap.
func (s sweepBench) run(b *testing.B) (report sweep.Report, took time.Duration, peakMB float64) {
	b.Helper()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	before, peak := stats.HeapAlloc, stats.HeapAlloc
	done := make(chan error)
	go func() {
		began := time.Now()
		var err error
		report, err = s.sweeper.Run(b.Context(), sweep.Options{Trigger: sweep.TriggerCommand})
		took = time.Since(began)
		done <- err
	}()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapAlloc)
		case err := <-done:
			require.NoError(b, err)
			require.False(b, report.Aborted, report.Detail)
			return report, took, float64(peak-before) / (1 << 20)
		}
	}
}
