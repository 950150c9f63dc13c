package edge_test

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/edge"
)

func TestSampler(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := edge.NewSampler(func() time.Time { return now })
	for i := range 10 {
		suppressed, write := s.Take("a")
		require.Zero(t, suppressed)
		require.Equal(t, i == 0, write, "the first at once")
	}
	_, write := s.Take("b")
	require.True(t, write, "each kind has its own first")
	now = now.Add(time.Minute)
	suppressed, write := s.Take("a")
	require.True(t, write)
	require.Equal(t, 9, suppressed)

	lines := 0
	for i := range 1000 {
		if _, write := s.Take(strconv.Itoa(i)); write {
			lines++
		}
	}
	require.LessOrEqual(t, lines, 100, "kinds that differ each time are one")
}

func TestErrorLogIsSampled(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := edge.ErrorLog(slog.New(slog.NewTextHandler(&out, nil)), edge.NewSampler(nil))
	for i := range 100 {
		log.Printf("http: URL query contains semicolon in request %d", i)
		log.Printf("http: panic serving 192.0.2.%d: x", i)
	}
	require.Equal(t, 2, strings.Count(out.String(), "\n"), out.String())
}
