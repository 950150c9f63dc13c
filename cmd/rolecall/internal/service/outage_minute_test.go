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
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestLog_AMinuteWithoutPostgres stops the server for a minute, while questions, webhooks, probes
// and readers of metrics come, and workers and sweeps are on.
func TestLog_AMinuteWithoutPostgres(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	const away, every = time.Minute, 20 * time.Millisecond
	primary := pgtest.NewCluster(t, nil)
	url := primary.Migrated("rolecall")
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, sweepsAtCommand)
	b.Open(t, url)
	workspace, admin, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	swept(t, b.DB)
	token := b.Token(t, admin)
	require.Equal(t, http.StatusOK, b.May(t, token, workspace, "reports:read"))
	before := len(b.Log.String())
	primary.Crash()
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
	primary.Restart()
	require.Eventually(t, func() bool {
		return b.May(t, token, workspace, "reports:read") == http.StatusOK && strings.Contains(b.Log.String(), "lines about it were left out")
	}, time.Minute, every, "it recovers by itself, and says what it left out")
	requireTold(t, b.Log.String()[before:])
	b.Applied(t)
	swept(t, b.DB)
	require.Empty(t, alarmed(t, b.DB))
}
