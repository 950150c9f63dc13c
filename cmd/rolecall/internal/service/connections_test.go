package service_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/store"
)

// rush sends requests and webhooks at once, and returns how many didn't get a 200.
func rush(t *testing.T, b *servicetest.Bundle, token string, requests int, webhooks []clerksim.Message) int64 {
	t.Helper()
	var wrong atomic.Int64
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			if status, _ := b.Get(t, b.Web("/v1/me"), token); status != http.StatusOK {
				wrong.Add(1)
			}
		})
	}
	for _, m := range webhooks {
		all.Go(func() {
			if result, err := b.Courier.Send(t.Context(), m); err != nil || result.Outcome != svixsim.Delivered || len(result.Attempts) != 1 {
				wrong.Add(1)
			}
		})
	}
	all.Wait()
	return wrong.Load()
}

// starships returns events of an unknown type, which change nothing.
func starships(t *testing.T, b *servicetest.Bundle, n int) []clerksim.Message {
	t.Helper()
	for i := range n {
		id := "star_" + strconv.Itoa(i)
		require.NoError(t, b.Clerk.Emit("starship.launched", id, map[string]any{"id": id}))
	}
	return b.Clerk.Drain()
}

// TestConnections_RoleWithFew: all requests are answered, and `rolecall status` gets a connection
// meanwhile.
func TestConnections_RoleWithFew(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	given := servicetest.AppRole(t, c, "CONNECTION LIMIT 15")
	require.NoError(t, database.MigrateURL(t.Context(), given))
	b := servicetest.Start(t, given, nil, config.Parts{Web: true, Workers: true})
	require.Contains(t, b.Log.String(), `"connections":13,"wanted":60,"limited_by":"the role app","limit":15`)
	b.Open(t, c.URL("rolecall"))
	_, admin, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	token := b.Token(t, admin)
	for range 5 {
		var status error
		var during sync.WaitGroup
		during.Go(func() {
			db, err := database.Open(t.Context(), config.Config{DatabaseURL: given}, "command", pgpool.Needs{})
			if status = err; err == nil {
				_, status = store.ReadStatus(t.Context(), db)
				db.Close()
			}
		})
		require.Zero(t, rush(t, b, token, 60, starships(t, b, 39)), b.Log)
		during.Wait()
		require.NoError(t, status)
	}
	require.NotContains(t, b.Log.String(), "SQLSTATE 53300")
}

// TestConnections_AreCapped by the setting, by the URL, or by the default in docs/operate.md.
func TestConnections_AreCapped(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	for limit, change := range map[int]func(*config.Config){
		config.UsualOf(config.Parts{Web: true, Workers: true}): func(*config.Config) {},
		20: func(c *config.Config) { c.MaxConnections = 20 },
		14: func(c *config.Config) { c.DatabaseURL += "&pool_max_conns=14" },
		12: func(c *config.Config) { c.MaxConnections, c.DatabaseURL = 12, c.DatabaseURL+"&pool_max_conns=14" },
	} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			t.Parallel()
			target := pgtest.URL(t)
			b := servicetest.Start(t, target, nil, config.Parts{Web: true, Workers: true}, func(b *servicetest.Bundle, c *config.Config) { change(c); sweepsAtCommand(b, c) })
			b.Open(t, target)
			_, admin, _, messages := servicetest.Team(t, b)
			b.Send(t, messages...)
			token := b.Token(t, admin)
			ctx, stop := context.WithCancel(t.Context())
			most := make(chan int)
			go func() { most <- mostConnections(ctx, b) }()
			for range 5 {
				require.Zero(t, rush(t, b, token, 100, starships(t, b, 50)))
			}
			stop()
			require.LessOrEqual(t, <-most, limit)
		})
	}
}

// mostConnections returns the peak number of a service's connections until ctx ends.
func mostConnections(ctx context.Context, b *servicetest.Bundle) (most int) {
	for ctx.Err() == nil {
		var n int
		err := b.DB.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'rolecall %'").Scan(&n)
		if err == nil {
			most = max(most, n)
		}
	}
	return most
}

// TestConnections_OfAMissingSideGoToNoOther: more connections would only let workers wait for each
// other's locks, and delay removals.
func TestConnections_OfAMissingSideGoToNoOther(t *testing.T) {
	t.Parallel()
	for _, which := range []config.Parts{{Web: true, Workers: true}, {Workers: true}} {
		sizes, err := service.Connections(t.Context(), config.Config{}, which, pgpool.Report{}, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		require.Equal(t, config.WorkConns, sizes["work"])
		sizes, err = service.Connections(t.Context(), config.Config{MaxConnections: 12}, which, pgpool.Report{}, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		require.Zero(t, sizes["decide"], "with so few, decisions are read with the rest")
	}
}

// TestConnections_TheLeastAnswer: decisions have no connection of their own then.
func TestConnections_TheLeastAnswer(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, func(_ *servicetest.Bundle, c *config.Config) { c.MaxConnections = 12 })
	b.Open(t, url)
	_, err := b.DB.Exec(t.Context(), `INSERT INTO rolecall.memberships (id, organization_id, user_id, role) VALUES ('orgmem_1', 'org_1', 'user_1', 'org:admin')`)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, b.May(t, b.Token(t, "user_1"), "org_1", "members:read"))
}

// TestConnections_TooFewAreRefused: the error names the setting and the least number.
func TestConnections_TooFewAreRefused(t *testing.T) {
	t.Parallel()
	_, err := service.Start(t.Context(), servicetest.Settings(t, func(c *config.Config) { c.MaxConnections = 11 }), config.Parts{Web: true, Workers: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "ROLECALL_MAX_CONNECTIONS: 11 connections are too few: this process needs at least 12")
	_, err = service.Start(t.Context(), servicetest.Settings(t, func(c *config.Config) { c.DatabaseURL += "&pool_max_conns=3" }), config.Parts{Web: true, Workers: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "pool_max_conns in DATABASE_URL: 3 connections are too few")
	c := pgtest.NewCluster(t, map[string]string{"max_connections": "12"})
	url := c.Migrated("rolecall")
	_, err = service.Start(t.Context(), servicetest.Settings(t, func(c *config.Config) { c.DatabaseURL = url }), config.Parts{Web: true, Workers: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "the limit of max_connections, 9, less 2 for others: 7 connections are too few")
}

// TestConnections_WaitsForSlotsThatOthersTook: a start waits until the role has connections left.
func TestConnections_WaitsForSlotsThatOthersTook(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	given := servicetest.AppRole(t, c, "CONNECTION LIMIT 12")
	require.NoError(t, database.MigrateURL(t.Context(), given))
	var held []*pgx.Conn
	for range 12 {
		conn, err := pgx.Connect(t.Context(), given)
		require.NoError(t, err)
		held = append(held, conn)
	}
	started := make(chan error, 1)
	cfg := servicetest.Settings(t, func(c *config.Config) { c.DatabaseURL = given })
	go func() {
		p, err := service.Start(t.Context(), cfg, config.Parts{Web: true}, slog.New(slog.DiscardHandler))
		if err == nil {
			err = p.Stop(context.WithoutCancel(t.Context()))
		}
		started <- err
	}()
	select {
	case err := <-started:
		t.Fatalf("it didn't wait: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	for _, conn := range held {
		require.NoError(t, conn.Close(t.Context()))
	}
	require.NoError(t, <-started)
}

// TestConnections_RecoverFromReadOnlyByThemselves: no session has to be ended by hand.
func TestConnections_RecoverFromReadOnlyByThemselves(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	b := servicetest.Start(t, c.Migrated("rolecall"), nil, config.Parts{Web: true, Workers: true})
	b.Open(t, c.SocketURL("rolecall"))
	workspace, _, member, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	token := b.Token(t, member)
	ping := func() bool {
		b.Get(t, b.Web("/v1/me"), token) // a read, with any answer
		result, err := b.Courier.Send(t.Context(), starships(t, b, 1)[0])
		return err == nil && result.Outcome == svixsim.Delivered
	}
	require.True(t, ping())
	c.Exec("", "ALTER DATABASE rolecall SET default_transaction_read_only = on",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'rolecall' AND pid <> pg_backend_pid()")
	require.Eventually(t, func() bool { // for this reason, not because its session was ended
		return !ping() && strings.Contains(b.Log.String(), "read-only")
	}, 30*time.Second, 50*time.Millisecond, "%s", b.Log)
	status, _ := b.Text(t, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	c.Exec("", "ALTER DATABASE rolecall RESET default_transaction_read_only")
	began := time.Now()
	require.Eventually(t, func() bool {
		status, _ := b.Text(t, "/readyz")
		return ping() && status == http.StatusOK
	}, 30*time.Second, 50*time.Millisecond, "%s", b.Log)
	t.Logf("answered %s after the database could be written to", time.Since(began))
	require.Equal(t, http.StatusOK, b.May(t, token, workspace, "reports:read"))
}

// TestConnections_SerializableDefaultDelaysNothing: no delivery fails or waits by the database's
// default isolation.
func TestConnections_SerializableDefaultDelaysNothing(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	target := c.Migrated("rolecall")
	c.Exec("", "ALTER DATABASE rolecall SET default_transaction_isolation = 'serializable'")
	b := servicetest.Start(t, target, nil, config.Parts{Web: true, Workers: true})
	b.Open(t, target)
	_, admin, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	for range 10 {
		require.Zero(t, rush(t, b, b.Token(t, admin), 20, append(messages, starships(t, b, 40)...)), b.Log)
	}
	b.Applied(t)
	require.NotContains(t, b.Log.String(), "SQLSTATE 40001")
}

func TestConnections_TransactionPoolerAloneIsRefused(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	target := pgtest.URL(t)
	through := pgtest.PgBouncer(t, target, pgtest.TransactionPooling)
	_, err := service.Start(t.Context(), servicetest.Settings(t, func(c *config.Config) { c.DatabaseURL = through }), config.Parts{Web: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "set ROLECALL_DIRECT_DATABASE_URL")
	require.ErrorContains(t, database.MigrateURL(t.Context(), through), "set ROLECALL_DIRECT_DATABASE_URL")
	_, err = service.Start(t.Context(), servicetest.Settings(t, func(c *config.Config) { c.DatabaseURL, c.DirectDatabaseURL = target, through }), config.Parts{Web: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "ROLECALL_DIRECT_DATABASE_URL leads to a transaction pooler")
	_, err = service.Start(t.Context(), servicetest.Settings(t, func(c *config.Config) { c.DirectDatabaseURL = pgtest.URL(t) }), config.Parts{Web: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "DATABASE_URL is another database than ROLECALL_DIRECT_DATABASE_URL")
}

// TestConnections_OtherEncodingIsRefusedByName by each command.
func TestConnections_OtherEncodingIsRefusedByName(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	for _, encoding := range []string{"LATIN1", "SQL_ASCII"} {
		name := strings.ToLower(encoding)
		c.Exec("", fmt.Sprintf("CREATE DATABASE %s ENCODING '%s' LOCALE 'C' TEMPLATE template0", name, encoding))
		want := "the database " + name + " has the encoding " + encoding
		require.ErrorContains(t, database.MigrateURL(t.Context(), c.URL(name)), want)
		_, err := service.Start(t.Context(), servicetest.Settings(t, func(cfg *config.Config) { cfg.DatabaseURL = c.URL(name) }), config.Parts{Web: true}, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, want)
		_, err = database.Open(t.Context(), config.Config{DatabaseURL: c.URL(name)}, "audit", pgpool.Needs{}) // as `rolecall audit verify` does
		require.ErrorContains(t, err, want)
	}
}
