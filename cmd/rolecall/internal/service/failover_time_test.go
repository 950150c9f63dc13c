package service_test

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
)

// findsPrimaryWithin is how soon after a promotion everything goes on.
const findsPrimaryWithin = 5 * time.Second

// overtaken is a service that meets a failover.
type overtaken struct {
	*servicetest.Bundle
	way              *pgtest.Switch // to the primary; for an address that moves, also to the standby
	moves            bool
	workspace, token string
	message          clerksim.Message
}

// TestFailover_GoesOnWithinSeconds by itself, whatever sessions the pools hold: behind an address
// that moves, with several hosts in the URL, and behind a pooler; if the primary crashes, and if it
// hangs and never closes a connection.
func TestFailover_GoesOnWithinSeconds(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	for how, end := range map[string]func(*pgtest.Cluster, []*overtaken){
		"crashes": func(primary *pgtest.Cluster, _ []*overtaken) { primary.Crash() },
		"hangs": func(_ *pgtest.Cluster, all []*overtaken) {
			for _, o := range all {
				o.way.Hang()
			}
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			primary := pgtest.NewCluster(t, nil)
			standby := primary.Standby()
			var all []*overtaken
			for _, kind := range []string{"address", "hosts", "pooler"} {
				all = append(all, startOvertaken(t, primary, standby, kind))
			}
			standby.CatchUp(primary)
			for _, o := range all {
				o.ask(t)
			}
			end(primary, all)
			standby.Promote()
			promoted := time.Now()
			for _, o := range all {
				if o.moves {
					o.way.Turn(standby.Addr())
				}
			}
			for _, o := range all {
				o.goesOn(t, promoted)
			}
		})
	}
}

func startOvertaken(t *testing.T, primary, standby *pgtest.Cluster, kind string) *overtaken {
	t.Helper()
	o := &overtaken{way: pgtest.NewSwitch(t, primary.Addr()), moves: kind != "hosts"}
	through := o.way.URL(primary.Migrated("rolecall_" + kind))
	o.Bundle = servicetest.Start(t, through, nil, config.Parts{Web: true, Workers: true}, func(b *servicetest.Bundle, cfg *config.Config) {
		sweepsAtCommand(b, cfg)
		switch kind {
		case "hosts":
			u, err := url.Parse(through)
			require.NoError(t, err)
			u.Host += "," + pgtest.NewSwitch(t, standby.Addr()).Addr()
			cfg.DatabaseURL = u.String()
		case "pooler":
			cfg.DirectDatabaseURL, cfg.DatabaseURL = through, pgtest.PgBouncer(t, through, pgtest.TransactionPooling, "server_login_retry = 1", "server_connect_timeout = 2")
		}
	})
	o.Open(t, through)
	workspace, _, member, messages := servicetest.Team(t, o.Bundle)
	o.workspace, o.token = workspace, o.Token(t, member)
	o.Send(t, messages...)
	require.Equal(t, http.StatusOK, o.May(t, o.token, workspace, "reports:read"))
	o.DB.Close()
	require.NoError(t, o.Clerk.Emit("starship.launched", "star_1", map[string]any{"id": "star_1"}))
	o.message = o.Clerk.Drain()[0]
	return o
}

// askers is how many callers ask all the time: more than there are sessions for decisions.
const askers = 8

// ask lets callers ask until the test ends, so that all sessions are in use when the primary goes.
func (o *overtaken) ask(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var asking sync.WaitGroup
	for range askers {
		asking.Go(func() {
			for ctx.Err() == nil {
				o.decides(ctx)
			}
		})
	}
	t.Cleanup(func() { cancel(); asking.Wait() })
}

// decides reports whether a question is answered while its caller waits.
func (o *overtaken) decides(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.Web("/v1/authorize?permission=reports:read&workspace_id="+o.workspace), nil)
	if err != nil {
		return false
	}
	request.Header.Set("Authorization", "Bearer "+o.token)
	response, err := o.Client.Do(request)
	return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

// patience is how long a caller waits.
const patience = 500 * time.Millisecond

// goesOn waits until questions are answered and deliveries are acknowledged again.
func (o *overtaken) goesOn(t *testing.T, promoted time.Time) {
	t.Helper()
	for what, try := range map[string]func(context.Context) bool{
		"decision": o.decides,
		"delivery": func(ctx context.Context) bool {
			result, err := o.Courier.Send(ctx, o.message)
			return err == nil && result.Outcome == svixsim.Delivered
		},
	} {
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			return try(ctx)
		}, 30*time.Second, 10*time.Millisecond, "%s: %s", what, o.Log)
		t.Logf("the first %s came %s after the promotion (%s)", what, time.Since(promoted), o.Config.DatabaseURL)
		require.Less(t, time.Since(promoted), findsPrimaryWithin, what)
	}
}
