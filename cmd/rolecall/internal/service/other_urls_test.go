package service_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestReady_AsksThroughEveryURL: a pooler of requests and deliveries may be away while the database
// itself answers.
func TestReady_AsksThroughEveryURL(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	direct := c.Migrated("rolecall")
	for setting, change := range map[string]func(*config.Config, string){
		"ROLECALL_READ_DATABASE_URL": func(c *config.Config, through string) { c.ReadDatabaseURL = through },
		"DATABASE_URL":               func(c *config.Config, through string) { c.DatabaseURL, c.DirectDatabaseURL = through, c.DatabaseURL },
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			name := pgtest.NewSwitch(t, c.Addr())
			b := servicetest.Start(t, direct, nil, config.Parts{Web: true}, func(_ *servicetest.Bundle, cfg *config.Config) { change(cfg, name.URL(direct)) })
			answers := func(want int) {
				t.Helper()
				require.Eventually(t, func() bool { status, _ := b.Text(t, "/readyz"); return status == want }, 10*time.Second, 20*time.Millisecond)
			}
			answers(http.StatusOK)
			name.Turn("127.0.0.1:1") // nothing listens there
			name.Cut()
			answers(http.StatusServiceUnavailable)
			require.Contains(t, b.Log.String(), "ask through "+setting)
			name.Turn(c.Addr())
			answers(http.StatusOK)
		})
	}
}

// TestPools_ProcessOpensItsOwnOnly, even with the settings of a process that has all sides.
func TestPools_ProcessOpensItsOwnOnly(t *testing.T) {
	t.Parallel()
	for _, which := range []config.Parts{{Workers: true}, {Web: true}} {
		cfg := servicetest.Settings(t, func(c *config.Config) { c.ReadDatabaseURL = c.DatabaseURL })
		p, err := service.Start(t.Context(), cfg, which, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		pools := p.Pools()
		require.Equal(t, which.Web, pools.Read != nil && pools.Accept != nil && pools.Events != nil && pools.Changes != nil)
		require.Equal(t, which.Workers, pools.Queue != nil)
		require.NoError(t, p.OthersAnswer(t.Context()))
		require.NoError(t, p.Stop(context.WithoutCancel(t.Context())))
	}
}

// TestConfig_PartsOfAPasswordAreNoParameters: an unescaped password may end up where a parameter's
// name belongs.
func TestConfig_PartsOfAPasswordAreNoParameters(t *testing.T) {
	t.Parallel()
	for rest, fine := range map[string]bool{
		"?TimeZone=UTC&work_mem=8MB&rolecall.a1=x": true, "?hun-ter2=x": false, "?2hunter=x": false, "?hunter%202=x": false, "?hunter2%21=x": false,
	} {
		err := config.CheckDatabaseURL("DATABASE_URL", "postgres://user@host/database"+rest)
		require.Equal(t, fine, err == nil, rest)
		if err != nil {
			require.NotContains(t, err.Error(), "hun")
		}
	}
}
