package playground

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/simulator"
	"github.com/callmine/rolecall/internal/testlog"
)

// TestPlayground_IsQuiet in the terminal, where its owner follows what happens: about a reader of
// the panel who goes to another page, and about the mailbox of a person who isn't signed in.
func TestPlayground_IsQuiet(t *testing.T) {
	t.Parallel()
	sim, err := simulator.Start(t.Context(), simulator.Config{Seed: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close(context.WithoutCancel(t.Context()))) })
	rolecall := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Error("asked for", r.URL) }))
	t.Cleanup(rolecall.Close)
	log := &testlog.Lines{}
	p, err := New(Config{
		Rolecall: rolecall.URL, Simulator: sim, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Ledger: func(ctx context.Context, _ []string) ([]Applied, error) { return nil, ctx.Err() },
	})
	require.NoError(t, err)
	gone, leave := context.WithCancel(t.Context())
	leave()
	for path, ctx := range map[string]context.Context{"/panel": gone, "/mail": t.Context()} {
		answer := httptest.NewRecorder()
		p.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+path, nil))
		require.Equal(t, http.StatusOK, answer.Code, path)
	}
	require.Empty(t, log.String())
}
