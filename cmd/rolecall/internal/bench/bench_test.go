// Package bench_test measures Rolecall as a whole: the built program in a process of its own, on a
// durable Postgres, driven over HTTP.
//
// It guarantees that
//
//   - callers work in closed loops: each sends its next request when the last one is answered;
//   - each figure stands beside a floor, which is the least that any program must do for the same
//     work. Rounds of both take turns, so that other load on the machine meets both;
//   - a figure is the median of its rounds, and a ratio is the median of the rounds' ratios.
//
// The callers share the machine with what they measure. This costs both sides the same time, and so
// moves a ratio towards 1.
package bench_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

const (
	// rounds is odd, so that a median is a round. One slow round, such as one with a checkpoint,
	// doesn't move it.
	rounds = 5
	// readTime is the length of a round of reads: some thousand answers, and short compared with
	// other load on the machine.
	readTime = time.Second
	// writeTime is the length of a round of writes: longer, because a backlog may grow in it and is
	// then part of the result.
	writeTime = 2 * time.Second
	// warmUp lets connections open, statements be planned, and tokens be verified.
	warmUp = 300 * time.Millisecond
)

// callerCounts returns how many callers ask at once: a single one, as many as Svix and a few
// servers of a product have, and more than there are connections to Postgres.
func callerCounts() []int { return []int{1, 16, 64} }

func TestMain(m *testing.M) {
	if url := os.Getenv(asFloor); url != "" {
		os.Exit(serveFloor(url))
	}
	os.Exit(pgtest.Main(m))
}

// BenchmarkWholeProgram prints the table of docs/benchmarks.md. Each part starts the program anew,
// on a database of its own; `-bench WholeProgram/webhooks` runs one alone.
func BenchmarkWholeProgram(b *testing.B) {
	s := &suite{binary: build(b)}
	var version, fsync string
	settings := connect(b, pgtest.DurableURL(b)).QueryRow(b.Context(), `SELECT current_setting('server_version'), current_setting('fsync')`)
	require.NoError(b, settings.Scan(&version, &fsync))
	b.Run("authorize", s.authorize)
	b.Run("webhooks", s.webhooks)
	b.Run("drain", s.drain)
	b.Run("enforced", s.enforced)
	b.Run("growth", s.growth)
	b.Run("feed", s.feed)
	b.Run("replicas", s.replicas)
	b.Run("several", s.several)
	if os.Getenv(withFlat) != "" {
		b.Run("flat", s.flat)
	}
	if os.Getenv(withFlat) != "" || os.Getenv(keptLarge) != "" {
		b.Run("console", s.console)
	}
	// b.Log prints nothing if a benchmark with parts passes.
	fmt.Fprintf(os.Stdout, "\n%d cores, Postgres %s, fsync %s; medians of %d rounds, with the lowest and the highest ratio\n\n%s\n",
		runtime.NumCPU(), version, fsync, rounds, s.table.String())
}

// suite is what the parts share.
type suite struct {
	binary string
	table  table
}
