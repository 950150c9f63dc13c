package service_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/store"
)

// sweepsAtCommand lets the service ask Clerk, and sweep only at a command or after a failover.
func sweepsAtCommand(b *servicetest.Bundle, cfg *config.Config) {
	cfg.SecretKey, cfg.APIURL, cfg.ClerkRate, cfg.SweepInterval = b.Clerk.SecretKey(), b.API, 1000, time.Hour
}

// alarmed reads the alarms of a database, as `rolecall status` does.
func alarmed(t *testing.T, db store.DBTX) []health.Alarm {
	t.Helper()
	read, err := store.ReadStatus(t.Context(), db)
	require.NoError(t, err)
	now, err := health.NewSituation(read, time.Hour)
	require.NoError(t, err)
	return now.Alarms()
}

// swept waits for a complete sweep that began after the database's last change.
func swept(t *testing.T, db store.DBTX) {
	t.Helper()
	require.Eventually(t, func() bool {
		read, err := store.ReadStatus(t.Context(), db)
		return err == nil && read.LastClean != nil && read.LastClean.StartedAt.After(read.DatabaseChangedAt)
	}, 30*time.Second, 10*time.Millisecond)
}

// failoverBundle is a service whose Postgres has a streaming standby.
type failoverBundle struct {
	*servicetest.Bundle
	primary, standby *pgtest.Cluster
	name             *pgtest.Switch
	url              string
	workspace        string
	admin, member    string
	other            string // another member
	token            string // of the removed member
	lost             int    // deliveries about the removal
}

// startFailover starts a service on a primary with a standby that has all.
func startFailover(t *testing.T) *failoverBundle {
	t.Helper()
	f := &failoverBundle{primary: pgtest.NewCluster(t, nil)}
	f.name = pgtest.NewSwitch(t, f.primary.Addr())
	f.url = f.name.URL(f.primary.Migrated("rolecall"))
	f.Bundle = servicetest.Start(t, f.url, nil, config.Parts{Web: true, Workers: true}, sweepsAtCommand)
	f.Open(t, f.url)
	workspace, admin, member, messages := servicetest.Team(t, f.Bundle)
	f.workspace, f.admin, f.member, f.token = workspace, admin, member, f.Token(t, member)
	other, err := f.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	_, err = f.Clerk.AddMember(workspace, other.ID, clerksim.RoleMember)
	require.NoError(t, err)
	f.other = other.ID
	f.Send(t, append(messages, f.Clerk.Drain()...)...)
	swept(t, f.DB)
	require.Equal(t, http.StatusOK, f.May(t, f.token, workspace, "reports:read"))
	f.standby = f.primary.Standby()
	t.Cleanup(func() { require.NoError(t, f.Service.Stop(context.WithoutCancel(t.Context()))) }) // before its database: it would wait
	return f
}

// setupFailover is startFailover with a standby that lacks the last removal.
func setupFailover(t *testing.T) *failoverBundle {
	t.Helper()
	f := startFailover(t)
	f.standby.StopReceiving()
	require.NoError(t, f.Clerk.RemoveMember(f.workspace, f.member))
	removal := f.Clerk.Drain()
	f.Send(t, removal...)
	f.lost = len(removal)
	require.Equal(t, http.StatusNotFound, f.May(t, f.token, f.workspace, "reports:read"), "acknowledged and enforced")
	return f
}

// holdSweeps makes each sweep wait at its first list, so that a test sees what is so before it.
func (f *failoverBundle) holdSweeps() (release func()) {
	held := make(chan struct{})
	f.Faults.Slow(func(ctx context.Context) error {
		select {
		case <-held:
		case <-ctx.Done():
		}
		return ctx.Err()
	}, clerksim.OnRoute("GET /organizations"))
	return sync.OnceFunc(func() { close(held) })
}

// failOver crashes the primary, and promotes the standby at the same address.
func (f *failoverBundle) failOver(t *testing.T) *pgxpool.Pool {
	t.Helper()
	f.primary.Crash()
	f.standby.Promote()
	f.name.Turn(f.standby.Addr())
	f.name.Cut()
	db, err := pgxpool.New(t.Context(), f.standby.URL("rolecall"))
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

// shows waits until /metrics has a line.
func (f *failoverBundle) shows(t *testing.T, line string, within time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, text := f.Text(t, "/metrics")
		return strings.Contains(text, line+"\n")
	}, within, 20*time.Millisecond, line)
}

// TestFailover_LosingARemovalRefusesItAgain: what was lost is known within five seconds and named
// everywhere, a sweep begins by itself, and the removed member is refused again.
func TestFailover_LosingARemovalRefusesItAgain(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	f := setupFailover(t)
	before := asOf(t, f.Bundle, f.Token(t, f.admin), f.workspace)
	release := f.holdSweeps()
	db := f.failOver(t)
	began := time.Now() // the URL leads to the new primary
	f.shows(t, `rolecall_alarm{name="acknowledged_lost"} 1`, 10*time.Second)
	t.Logf("the alarm came %s after the URL led to the new primary", time.Since(began))
	require.Less(t, time.Since(began), 5*time.Second)
	alarms := alarmed(t, db)
	require.True(t, health.HasAlarm(alarms, health.AlarmDatabase))
	require.True(t, health.HasAlarm(alarms, health.AlarmLost), "other processes and `rolecall status` know it from the database")
	require.Contains(t, alarms[len(alarms)-1].Detail, health.TellLost(store.Lost{Deliveries: int64(f.lost)}))
	require.Contains(t, f.Log.String(), "the database is another one than before")
	require.Regexp(t, `timeline 2: the old one had written up to 0/[0-9A-F]+ at least, and the new one was at 0/[0-9A-F]+`,
		f.standby.Value("rolecall", "SELECT change FROM rolecall.database_identity"), "how far it had got")
	require.Contains(t, f.Log.String(), "the database lacks what this process acknowledged")
	f.shows(t, fmt.Sprintf(`rolecall_acknowledged_lost_total{kind="delivery"} %d`, f.lost), 5*time.Second)
	status, text := f.Text(t, "/readyz")
	require.Equal(t, http.StatusOK, status, "answers go on")
	require.Contains(t, text, health.TellLost(store.Lost{Deliveries: int64(f.lost)})+" after a failover")
	require.Equal(t, before, asOf(t, f.Bundle, f.Token(t, f.admin), f.workspace), "answers say how old they are")

	release()
	swept(t, db)
	require.Equal(t, http.StatusNotFound, f.May(t, f.token, f.workspace, "reports:read"), "refused again")
	require.True(t, asOf(t, f.Bundle, f.Token(t, f.admin), f.workspace).After(before))
	require.False(t, health.HasAlarm(alarmed(t, db), health.AlarmDatabase) || health.HasAlarm(alarmed(t, db), health.AlarmLost))
	f.shows(t, `rolecall_alarm{name="acknowledged_lost"} 0`, 10*time.Second)
	_, text = f.Text(t, "/readyz")
	require.Equal(t, "ok\n", text)
	require.Equal(t, "failover", f.standby.Value("rolecall", "SELECT trigger FROM rolecall.sweeps ORDER BY id DESC LIMIT 1"))
}

// TestFailover_SynchronousStandbyLosesNothing: nothing is missing after it, and no alarm says so.
func TestFailover_SynchronousStandbyLosesNothing(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	f := startFailover(t)
	f.primary.Synchronous()
	var acknowledged int
	for range 5 {
		_, _, _, messages := servicetest.Team(t, f.Bundle)
		f.Send(t, messages...)
		acknowledged += len(messages)
	}
	db := f.failOver(t)
	swept(t, db)
	require.False(t, health.HasAlarm(alarmed(t, db), health.AlarmLost))
	require.NotContains(t, f.Log.String(), "the database lacks what this process acknowledged")
	require.Equal(t, "0", f.standby.Value("rolecall", "SELECT count(*)::text FROM rolecall.lost_acknowledgements"))
}

// TestFailover_ARepeatWaitsForTheStandby: a webhook that the synchronous standby lacks isn't
// acknowledged, not even if the sender repeats it, and the primary has it since the first time.
func TestFailover_ARepeatWaitsForTheStandby(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	f := startFailover(t)
	f.primary.Synchronous()
	f.standby.StopReceiving()
	require.NoError(t, f.Clerk.RemoveMember(f.workspace, f.member))
	removal := f.Clerk.Drain()[0]
	send := func() svixsim.Outcome {
		result, err := f.Courier.Send(t.Context(), removal)
		require.NoError(t, err)
		return result.Outcome
	}
	for range 2 {
		require.NotEqual(t, svixsim.Delivered, send())
		require.Eventually(t, func() bool {
			return f.primary.Value("rolecall", "SELECT count(*)::text FROM rolecall.deliveries WHERE svix_id = '"+removal.ID+"'") == "1"
		}, 20*time.Second, 10*time.Millisecond, "the primary alone has it, once the wait for the standby is cancelled")
	}
	f.standby.StartReceiving()
	require.Eventually(t, func() bool { return send() == svixsim.Delivered }, time.Minute, 10*time.Millisecond)
	db := f.failOver(t)
	require.Zero(t, missingFrom(t, db, []string{removal.ID}))
}

// TestFailover_DuringTheSweepAfterAFailover, by the old primary that joined again: the sweep begins
// anew, and what both lost is repaired.
func TestFailover_DuringTheSweepAfterAFailover(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	f := setupFailover(t)
	release := f.holdSweeps()
	defer release()
	db := f.failOver(t)
	f.shows(t, `rolecall_alarm{name="acknowledged_lost"} 1`, 10*time.Second)
	require.Eventually(t, func() bool {
		return f.standby.Value("rolecall", "SELECT count(*)::text FROM rolecall.sweeps WHERE state = 'running'") == "1"
	}, 10*time.Second, 10*time.Millisecond, "the sweep has begun")
	f.primary.Follow(f.standby)
	f.primary.StopReceiving()
	require.NoError(t, f.Clerk.RemoveMember(f.workspace, f.other))
	second := f.Clerk.Drain()
	f.DB = db
	f.Send(t, second...)
	f.primary, f.standby = f.standby, f.primary
	db = f.failOver(t)
	require.Eventually(t, func() bool {
		read, err := store.ReadLost(t.Context(), db)
		return err == nil && read.Deliveries == int64(f.lost+len(second))
	}, 10*time.Second, 20*time.Millisecond, "also what the first one lost: %s", f.Log)
	release()
	swept(t, db)
	require.Equal(t, http.StatusNotFound, f.May(t, f.token, f.workspace, "reports:read"))
	require.Equal(t, http.StatusNotFound, f.May(t, f.Token(t, f.other), f.workspace, "reports:read"))
	require.False(t, health.HasAlarm(alarmed(t, db), health.AlarmDatabase) || health.HasAlarm(alarmed(t, db), health.AlarmLost))
	require.Equal(t, "0", f.standby.Value("rolecall", `SELECT count(*)::text FROM rolecall.sweeps s, rolecall.database_identity i
		WHERE s.state = 'clean' AND s.finished_at > i.changed_at AND s.started_at <= i.changed_at`), "no sweep goes on over a failover")
}

// TestFailover_BeforeTheProcessStarts is noticed at the start.
func TestFailover_BeforeTheProcessStarts(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	f := setupFailover(t)
	cfg := f.Config
	require.NoError(t, f.Service.Stop(t.Context()))
	f.primary.Crash()
	f.standby.Promote()
	f.name.Turn(f.standby.Addr())
	f.name.Cut()
	var err error
	f.Service, err = service.Start(t.Context(), cfg, config.Parts{Web: true}, f.Logger) // it sweeps nothing
	require.NoError(t, err)
	db, err := pgxpool.New(t.Context(), f.standby.URL("rolecall"))
	require.NoError(t, err)
	t.Cleanup(db.Close)
	require.True(t, health.HasAlarm(alarmed(t, db), health.AlarmDatabase))
	require.Equal(t, "1", f.standby.Value("rolecall", "SELECT count(*)::text FROM rolecall.river_job WHERE kind = 'sweep' AND args ->> 'trigger' = 'failover'"))

	require.NoError(t, f.Service.Stop(t.Context()))
	f.Service, err = service.Start(t.Context(), cfg, config.Parts{Web: true, Workers: true}, f.Logger)
	require.NoError(t, err)
	swept(t, db)
	require.Equal(t, http.StatusNotFound, f.May(t, f.token, f.workspace, "reports:read"))
	require.False(t, health.HasAlarm(alarmed(t, db), health.AlarmDatabase))
}

// TestFailover_OldPrimaryThatStaysUpAnswersNothing once the new primary is known, although no
// session was cut.
func TestFailover_OldPrimaryThatStaysUpAnswersNothing(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	f := setupFailover(t)
	f.standby.Promote()
	f.name.Turn(f.standby.Addr()) // existing connections stay
	require.Eventually(t, func() bool {
		var port string
		err := f.Service.Pools().Read.QueryRow(t.Context(), "SELECT inet_server_port()::text").Scan(&port)
		return err == nil && strings.HasSuffix(f.standby.Addr(), ":"+port)
	}, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		return f.primary.Value("rolecall", "SELECT count(*)::text FROM pg_stat_activity WHERE application_name LIKE 'rolecall %'") == "0"
	}, 10*time.Second, 10*time.Millisecond, "no session is left with the old one")
	require.Eventually(t, func() bool {
		read, err := store.ReadStatus(t.Context(), f.Service.Pools().Admins)
		return err == nil && !read.DatabaseChangedAt.IsZero()
	}, 10*time.Second, 10*time.Millisecond, "the new one has the note of its promotion, by which sweeps before it don't count")
	swept(t, f.Service.Pools().Admins)
	require.Equal(t, http.StatusNotFound, f.May(t, f.token, f.workspace, "reports:read"))
}

// TestFailover_OldPrimaryNamedBesideTheNewOneAnswersNothing once the new one is found: with several
// hosts in the URL, the one that led last is asked first, and nobody has stopped it.
func TestFailover_OldPrimaryNamedBesideTheNewOneAnswersNothing(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	primary := pgtest.NewCluster(t, nil)
	target := primary.Migrated("rolecall")
	standby := primary.Standby()
	u, err := url.Parse(target)
	require.NoError(t, err)
	u.Host += "," + standby.Addr()
	b := servicetest.Start(t, u.String()+"&target_session_attrs=read-write", nil, config.Parts{Web: true, Workers: true}, sweepsAtCommand)
	t.Cleanup(func() { require.NoError(t, b.Service.Stop(context.WithoutCancel(t.Context()))) }) // before its database: it would wait
	sessions := "SELECT count(*)::text FROM pg_stat_activity WHERE application_name LIKE 'rolecall %'"
	require.NotEqual(t, "0", primary.Value("rolecall", sessions))
	standby.Promote()
	require.Eventually(t, func() bool {
		var port string
		err := b.Service.Pools().Read.QueryRow(t.Context(), "SELECT inet_server_port()::text").Scan(&port)
		return err == nil && strings.HasSuffix(standby.Addr(), ":"+port)
	}, 20*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { return primary.Value("rolecall", sessions) == "0" }, 20*time.Second, 10*time.Millisecond,
		"no session is left with the old one")
	require.Eventually(t, func() bool {
		read, err := store.ReadStatus(t.Context(), b.Service.Pools().Admins)
		return err == nil && !read.DatabaseChangedAt.IsZero()
	}, 20*time.Second, 10*time.Millisecond, "it is noted")
	swept(t, b.Service.Pools().Admins)
	require.Contains(t, b.Log.String(), "the database is another one than before")
}

// TestFailover_ALateProcessLosesARemoval that it acknowledged at the old primary, which lived on,
// after the sweep that another process had begun: that is named, and swept for, too.
func TestFailover_ALateProcessLosesARemoval(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	f := startFailover(t)
	way := pgtest.NewSwitch(t, f.primary.Addr())
	cfg := f.Config
	cfg.DatabaseURL = way.URL(f.url)
	late, err := service.Start(t.Context(), cfg, config.Parts{Web: true}, f.Logger)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, late.Stop(context.WithoutCancel(t.Context()))) })
	courier, err := svixsim.NewCourier(svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{{URL: "http://" + late.WebAddr + "/webhooks/clerk", Secrets: []string{f.Secret}}}})
	require.NoError(t, err)
	t.Cleanup(courier.Close)

	f.standby.StopReceiving()
	f.standby.Promote()
	f.name.Turn(f.standby.Addr())
	f.name.Cut()
	db, err := pgxpool.New(t.Context(), f.standby.URL("rolecall"))
	require.NoError(t, err)
	t.Cleanup(db.Close)
	require.Eventually(t, func() bool {
		read, err := store.ReadStatus(t.Context(), db)
		return err == nil && !read.DatabaseChangedAt.IsZero()
	}, 10*time.Second, 10*time.Millisecond, "the first process notes the failover")
	swept(t, db)
	require.False(t, health.HasAlarm(alarmed(t, db), health.AlarmDatabase))
	require.NoError(t, f.Clerk.RemoveMember(f.workspace, f.member))
	acknowledged := time.Now()
	removal := f.Clerk.Drain()
	for _, m := range removal {
		result, err := courier.Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, svixsim.Delivered, result.Outcome)
	}
	require.Equal(t, http.StatusOK, f.May(t, f.token, f.workspace, "reports:read"), "the new primary doesn't know it")

	release := f.holdSweeps()
	defer release()
	way.Turn(f.standby.Addr())
	way.Cut()
	f.shows(t, `rolecall_alarm{name="acknowledged_lost"} 1`, 20*time.Second)
	_, text := f.Text(t, "/readyz")
	require.Regexp(t, fmt.Sprintf(`\n%d deliver\w+ (is|are) missing after a failover`, len(removal)), text, "at the other process")
	require.True(t, asOf(t, f.Bundle, f.Token(t, f.admin), f.workspace).Before(acknowledged), "answers say how old they are")
	release()
	require.Eventually(t, func() bool { return !health.HasAlarm(alarmed(t, db), health.AlarmLost) }, 30*time.Second, 10*time.Millisecond, "%s", f.Log)
	require.Equal(t, http.StatusNotFound, f.May(t, f.token, f.workspace, "reports:read"), "refused again")
	require.True(t, asOf(t, f.Bundle, f.Token(t, f.admin), f.workspace).After(acknowledged))
}

// TestFailover_RestoredIntoAnotherCluster: the restored copy remembers another cluster.
func TestFailover_RestoredIntoAnotherCluster(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true}, sweepsAtCommand)
	b.Open(t, url)
	require.False(t, health.HasAlarm(alarmed(t, b.DB), health.AlarmDatabase), "a new database is no change")
	cfg := b.Config
	require.NoError(t, b.Service.Stop(t.Context()))
	_, err := b.DB.Exec(t.Context(), "UPDATE rolecall.database_identity SET system_identifier = '7000000000000000001'")
	require.NoError(t, err, "as a dump of another cluster has it")
	for range 2 {
		b.Service, err = service.Start(t.Context(), cfg, config.Parts{Web: true}, b.Logger)
		require.NoError(t, err)
		require.True(t, health.HasAlarm(alarmed(t, b.DB), health.AlarmDatabase), "until a sweep")
		require.NoError(t, b.Service.Stop(t.Context()))
	}
	var jobs int
	require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.river_job WHERE args ->> 'trigger' = 'failover'").Scan(&jobs))
	require.Equal(t, 1, jobs, "once")
}

// TestFailover_AcknowledgedDeliveriesSurviveACrash, even if the database's synchronous_commit is
// off.
func TestFailover_AcknowledgedDeliveriesSurviveACrash(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	for _, where := range []string{"DATABASE rolecall", "ROLE postgres"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			c := pgtest.NewCluster(t, map[string]string{"wal_writer_delay": "10s", "wal_writer_flush_after": "0"})
			url := c.Migrated("rolecall")
			c.Exec("", "ALTER "+where+" SET synchronous_commit = off")
			b := servicetest.Start(t, url, nil, config.Parts{Web: true})
			_, _, _, messages := servicetest.Team(t, b)
			for i := range 15 {
				require.NoError(t, b.Clerk.Emit("starship.launched", fmt.Sprintf("star_%d", i), map[string]any{"id": fmt.Sprintf("star_%d", i)}))
			}
			messages = append(messages, b.Clerk.Drain()...)
			for _, m := range messages {
				result, err := b.Courier.Send(t.Context(), m)
				require.NoError(t, err)
				require.Equal(t, svixsim.Delivered, result.Outcome)
			}
			c.Crash()
			c.Restart()
			require.Equal(t, fmt.Sprint(len(messages)), c.Value("rolecall", "SELECT count(*)::text FROM rolecall.deliveries"))
		})
	}
}
