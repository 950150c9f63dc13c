package progress

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/jobs/sweep"
)

// TestDisplay_ShowsProgressAsTheStreamAllows: a bar on a terminal, few lines elsewhere.
func asText(to io.Writer, level slog.Level) slog.Handler {
	return slog.NewTextHandler(to, &slog.HandlerOptions{Level: level})
}

func TestDisplay_ShowsProgressAsTheStreamAllows(t *testing.T) {
	t.Parallel()
	steps := []sweep.Progress{
		{Resource: "user", Listed: 500, Total: -1},
		{Resource: "role", Listed: 3, Total: 3},
		{Resource: "membership", Listed: 500, Total: 1000},
		{Resource: "membership", Listed: 1000, Total: 1000},
		{Resource: "membership", Confirming: true, LookedUp: 1, Total: -1},
	}
	var terminal bytes.Buffer
	bar := New(&terminal, 0, asText)
	bar.terminal = true
	for _, p := range steps {
		bar.Show(p)
	}
	_, err := bar.Write([]byte("a line\n"))
	require.NoError(t, err)
	bar.End()
	for _, part := range []string{"listing user", "listing role", "(3/3)", "listing membership", "(500/1000)", "(1000/1000)", "looking up membership", "\ra line\n"} {
		require.Contains(t, terminal.String(), part)
	}
	require.True(t, strings.HasSuffix(terminal.String(), " \r"), "the bar is gone: %q", terminal.String())
	require.NotContains(t, terminal.String(), "/s", "a rate would be one of no time at all")

	var log bytes.Buffer
	lines := New(&log, 0, asText)
	require.False(t, lines.terminal)
	for _, p := range steps {
		lines.Show(p)
	}
	require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	require.Contains(t, log.String(), "resource=user listed=500")
	lines.logged = time.Now().Add(-logEvery)
	lines.Show(steps[len(steps)-1])
	require.Contains(t, log.String(), "looked_up=1")
}
