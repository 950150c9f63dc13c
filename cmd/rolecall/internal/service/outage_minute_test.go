package service_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// TestLog_AMinuteWithoutPostgres stops the primary for a minute, while questions, webhooks, probes
// and readers of metrics come, services wait for changes, replicas are to answer, and workers and
// sweeps are on.
func TestLog_AMinuteWithoutPostgres(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	const away, every = time.Minute, 20 * time.Millisecond
	var following string
	b := startReplicated(t, 2, sweepsAtCommand, func(_ *servicetest.Bundle, c *config.Config) { following = withFollower(t, c) })
	workspace, admin, _, messages := servicetest.Team(t, b.Bundle)
	b.Send(t, messages...)
	swept(t, b.DB)
	token := b.Token(t, admin)
	require.Equal(t, http.StatusOK, b.May(t, token, workspace, "reports:read"))
	b.answering(t, token, workspace)
	for range 3 {
		go func() {
			again := time.NewTicker(every)
			defer again.Stop()
			for f := newFollower(b.Bundle, following); t.Context().Err() == nil; {
				if _, _, err := f.next("wait=5"); err != nil {
					<-again.C
				}
			}
		}()
	}
	before := len(b.Log.String())
	b.primary.Crash()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for n, until := 0, time.Now().Add(away); time.Now().Before(until); n++ {
		<-ticker.C
		_ = b.May(t, token, workspace, "reports:read")
		if n%10 == 0 {
			_, err := b.Clerk.CreateUser(clerksim.NewUser{})
			require.NoError(t, err)
			for _, m := range b.Clerk.Drain() {
				_, _ = b.Courier.Send(t.Context(), m)
			}
			_, _ = b.Get(t, b.Admin("/readyz"), "")
			_, _ = b.Text(t, "/metrics")
		}
	}
	b.primary.Restart()
	require.Eventually(t, func() bool {
		return b.May(t, token, workspace, "reports:read") == http.StatusOK && strings.Contains(b.Log.String(), "lines about it were left out")
	}, time.Minute, every, "it recovers by itself, and says what it left out")
	requireTold(t, b.Log.String()[before:])
	require.NotContains(t, warnings(t, b.Log.String()[before:]), "the replica doesn't answer: other servers answer for it", "no server does")
	b.Applied(t)
	swept(t, b.DB)
	require.Empty(t, alarmed(t, b.DB))
}
