package service_test

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// backedUp is a service that is dumped while webhooks come, of which some wait, and that goes on
// after the dump.
type backedUp struct {
	*servicetest.Bundle
	server  *pgtest.Cluster
	dump    string
	acked   []string                  // deliveries that were acknowledged before the dump
	heads   map[string]clerksync.Mark // of the audit log, before the dump
	removed string                    // user who was removed from workspace after the dump
	token   string                    // of that user
	north   string
	follows *follower // of the change feed
	place   string    // in it, before the dump
	beyond  string    // and after it
}

// backUp fills a database, dumps it, and changes much afterwards.
func backUp(t *testing.T, server *pgtest.Cluster, url string, args ...string) *backedUp {
	t.Helper()
	b := &backedUp{server: server, dump: filepath.Join(t.TempDir(), "rolecall.dump")}
	var following string
	b.Bundle = servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, sweepsAtCommand,
		func(_ *servicetest.Bundle, cfg *config.Config) { following = withFollower(t, cfg) })
	b.Open(t, url)
	b.follows = newFollower(b.Bundle, following)
	north, alex, robin, messages := servicetest.Team(t, b.Bundle)
	south, _, kim, more := servicetest.Team(t, b.Bundle)
	b.north, b.removed, b.token = north, robin, b.Token(t, robin)
	_, err := b.Clerk.Invite(north, alex, "guest@callmine.test", clerksim.RoleMember)
	require.NoError(t, err)
	b.ack(t, slices.Concat(messages, more, b.Clerk.Drain())...)
	b.Applied(t)
	swept(t, b.DB)
	require.Equal(t, http.StatusOK, b.May(t, b.token, north, "reports:read"))
	_, _, err = store.AppendEvent(t.Context(), b.DB, store.Event{
		OrganizationID: north, Actor: alex, Action: "report.run", Target: "report_1", Cause: "service:reports",
	}, store.CommandKey{})
	require.NoError(t, err)
	b.heads = headsOf(t, b.DB)
	b.place = b.hears(t, "report.run", "")

	lock, err := b.DB.Begin(t.Context()) // holds up south's deliveries
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), "SELECT FROM rolecall.organizations WHERE id = $1 FOR UPDATE", south)
	require.NoError(t, err)
	_, err = b.Clerk.SetRole(south, kim, clerksim.RoleAdmin)
	require.NoError(t, err)
	_, err = b.Clerk.UpdateOrganization(south, clerksim.OrganizationUpdate{Name: new("Far South")})
	require.NoError(t, err)
	b.ack(t, b.Clerk.Drain()...)
	traffic, ended := make(chan struct{}), make(chan error, 1) // during the dump
	go func() { ended <- b.join(t, north, traffic) }()
	b.server.Program("pg_dump", slices.Concat(args, []string{"--format=custom", "--file=" + b.dump, "--dbname=" + url})...)
	close(traffic)
	require.NoError(t, <-ended)
	require.NoError(t, lock.Rollback(t.Context()))

	require.NoError(t, b.Clerk.RemoveMember(north, robin))
	_, err = b.Clerk.BanUser(kim)
	require.NoError(t, err)
	west, _, _, messages := servicetest.Team(t, b.Bundle)
	_, err = b.Clerk.UpdateOrganization(north, clerksim.OrganizationUpdate{Name: new("High North")})
	require.NoError(t, err)
	b.Send(t, slices.Concat(messages, b.Clerk.Drain())...)
	require.Equal(t, http.StatusNotFound, b.May(t, b.token, north, "reports:read"), "acknowledged, enforced, and not in the dump")
	b.beyond = b.hears(t, "member.removed", robin)
	require.NoError(t, b.Clerk.DeleteOrganization(west)) // no webhook ever says so
	b.Clerk.Drain()
	require.NoError(t, b.Service.Stop(t.Context()))
	return b
}

// hears follows the change feed up to a change, and returns the place after it.
func (b *backedUp) hears(t *testing.T, kind, userID string) (cursor string) {
	t.Helper()
	require.Eventually(t, func() bool {
		changes, _ := b.follows.ask(t, "wait=5")
		return slices.ContainsFunc(changes, func(c followed) bool { return c.Kind == kind && (userID == "" || c.UserID == userID) })
	}, 20*time.Second, time.Millisecond)
	return b.follows.cursor
}

// ack sends webhooks, which the dump must have.
func (b *backedUp) ack(t *testing.T, messages ...clerksim.Message) {
	t.Helper()
	for _, m := range messages {
		result, err := b.Courier.Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, svixsim.Delivered, result.Outcome, m.Type)
		b.acked = append(b.acked, m.ID)
	}
}

// join lets people join a workspace, one after the other, until a channel is closed.
func (b *backedUp) join(t *testing.T, workspace string, until <-chan struct{}) error {
	t.Helper()
	for {
		select {
		case <-until:
			return nil
		default:
		}
		user, err := b.Clerk.CreateUser(clerksim.NewUser{})
		if err != nil {
			return err
		}
		if _, err := b.Clerk.AddMember(workspace, user.ID, clerksim.RoleMember); err != nil {
			return err
		}
		for _, m := range b.Clerk.Drain() {
			if _, err := b.Courier.Send(t.Context(), m); err != nil {
				return err
			}
		}
	}
}

// headsOf returns the heads of all chains.
func headsOf(t *testing.T, db *pgxpool.Pool) map[string]clerksync.Mark {
	t.Helper()
	rows, err := db.Query(t.Context(), "SELECT organization_id, seq, hash FROM rolecall.audit_heads")
	require.NoError(t, err)
	heads := map[string]clerksync.Mark{}
	var id string
	var mark clerksync.Mark
	_, err = pgx.ForEachRow(rows, []any{&id, &mark.Seq, &mark.Hash}, func() error {
		heads[id] = clerksync.Mark{Seq: mark.Seq, Hash: slices.Clone(mark.Hash)}
		return nil
	})
	require.NoError(t, err)
	return heads
}

// requireRestored starts the service on a restored database, and requires that it becomes right by
// itself.
func (b *backedUp) requireRestored(t *testing.T, url string) {
	t.Helper()
	cfg := b.Config
	cfg.DatabaseURL = url
	db, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	before := headsOf(t, db)
	started, err := service.Start(t.Context(), cfg, config.Parts{Web: true}, b.Logger) // it sweeps nothing
	require.NoError(t, err)
	require.True(t, health.HasAlarm(alarmed(t, db), health.AlarmDatabase), "the restore is noticed")
	require.NoError(t, started.Stop(t.Context()))

	b.Service, err = service.Start(t.Context(), cfg, config.Parts{Web: true, Workers: true}, b.Logger)
	require.NoError(t, err)
	b.Open(t, url)
	swept(t, b.DB)
	b.Applied(t)
	require.False(t, health.HasAlarm(alarmed(t, b.DB), health.AlarmDatabase), "the sweep ended the alarm")

	var lost []string
	require.NoError(t, b.DB.QueryRow(t.Context(), `SELECT array_agg(id) FROM unnest($1::text[]) id
		WHERE NOT EXISTS (SELECT FROM rolecall.deliveries d WHERE d.svix_id = id AND d.state IN ('applied', 'superseded', 'ignored'))`, b.acked).Scan(&lost))
	require.Empty(t, lost, "acknowledged before the dump, and not applied")
	requireMirrorEquals(t, b.DB, b.Clerk.Directory())
	require.Equal(t, http.StatusNotFound, b.May(t, b.token, b.north, "reports:read"), "removed after the dump")

	for chain, noted := range b.heads {
		require.Subset(t, slices.Collect(maps.Keys(before)), []string{chain})
		requireChain(t, b.DB, chain, noted)
	}
	for chain, noted := range before {
		requireChain(t, b.DB, chain, noted)
	}
	_, err = b.DB.Exec(t.Context(), "UPDATE rolecall.audit_log SET target = 'x'")
	require.ErrorContains(t, err, "append-only")
	b.follows.cursor = b.beyond
	_, _, err = b.follows.next("wait=0")
	require.ErrorContains(t, err, "410", "it has read what the dump lacks")
	b.follows.cursor = b.place
	b.hears(t, "member.removed", b.removed)
	entries := headsOf(t, b.DB)[b.north].Seq
	user, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	b.connectTo(t)
	_, err = b.Clerk.AddMember(b.north, user.ID, clerksim.RoleMember)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	requireMirrorEquals(t, b.DB, b.Clerk.Directory())
	require.Equal(t, entries+1, headsOf(t, b.DB)[b.north].Seq, "the new entry continues the chain")
	requireChain(t, b.DB, b.north, clerksync.Mark{})
	left, err := migrations.Left(t.Context(), b.DB)
	require.NoError(t, err)
	require.Empty(t, left, "the SQL functions can be used")
}

// connectTo points the courier at the service that runs now.
func (b *backedUp) connectTo(t *testing.T) {
	t.Helper()
	courier, err := svixsim.NewCourier(svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{{URL: b.Web("/webhooks/clerk"), Secrets: []string{b.Secret}}}})
	require.NoError(t, err)
	t.Cleanup(courier.Close)
	b.Courier = courier
}

func requireChain(t *testing.T, db *pgxpool.Pool, organizationID string, noted clerksync.Mark) {
	t.Helper()
	require.NoError(t, pgx.BeginTxFunc(t.Context(), db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		report, err := store.VerifyChain(t.Context(), tx, organizationID, noted)
		require.NoError(t, err)
		require.Nil(t, report.Broken, "chain %q", organizationID)
		require.NotZero(t, report.Entries)
		return nil
	}))
}

// requireMirrorEquals compares what lives in the mirror with what Clerk has.
func requireMirrorEquals(t *testing.T, db *pgxpool.Pool, clerk clerksim.Directory) {
	t.Helper()
	var want []string
	for _, u := range clerk.Users {
		if !u.Deleted {
			want = append(want, fmt.Sprintf("%s %t", u.ID, u.Banned))
		}
	}
	for _, o := range clerk.Organizations {
		if !o.Deleted {
			want = append(want, o.ID+" "+o.Name)
		}
	}
	for _, m := range clerk.Memberships() {
		want = append(want, m.ID+" "+m.Role)
	}
	for _, i := range clerk.Invitations {
		want = append(want, i.ID+" "+string(i.Status))
	}
	rows, err := db.Query(t.Context(), `SELECT id || ' ' || banned FROM rolecall.users WHERE deleted_at IS NULL
		UNION ALL SELECT id || ' ' || name FROM rolecall.organizations WHERE deleted_at IS NULL
		UNION ALL SELECT m.id || ' ' || m.role FROM rolecall.effective_memberships m JOIN rolecall.live_objects l ON l.id = m.id AND l.resource = 'membership'
		UNION ALL SELECT i.id || ' ' || i.status FROM rolecall.invitations i JOIN rolecall.live_objects l ON l.id = i.id AND l.resource = 'invitation'`)
	require.NoError(t, err)
	have, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.ElementsMatch(t, want, have)
}

// TestRestore_OnAnotherServer: the whole database, as a superuser.
func TestRestore_OnAnotherServer(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	from, to := pgtest.NewCluster(t, nil), pgtest.NewCluster(t, nil)
	b := backUp(t, from, from.Migrated("rolecall"))
	schema := schemaOf(from)
	from.Crash()
	to.Exec("", "CREATE ROLE rolecall_reader NOLOGIN", "CREATE DATABASE rolecall ENCODING 'UTF8' TEMPLATE template0")
	to.Program("pg_restore", "--exit-on-error", "--dbname="+to.URL("rolecall"), b.dump)
	require.Equal(t, schema, schemaOf(to), "triggers, indexes, rights and sequences are there")
	b.requireRestored(t, to.URL("rolecall"))
}

// TestRestore_OfTheSchemaAlone: by a role that owns nothing but the schema.
func TestRestore_OfTheSchemaAlone(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	from, to := pgtest.NewCluster(t, nil), pgtest.NewCluster(t, nil)
	url := servicetest.AppRole(t, from, "")
	from.Exec("", "CREATE ROLE rolecall_reader NOLOGIN") // by an administrator: app may create no role
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	require.NoError(t, migrations.Up(t.Context(), pool))
	pool.Close()
	b := backUp(t, from, url, "--schema=rolecall")
	schema := schemaOf(from)
	from.Crash()
	restored := servicetest.AppRole(t, to, "")
	to.Exec("", "CREATE ROLE rolecall_reader NOLOGIN")
	to.Program("pg_restore", "--exit-on-error", "--no-owner", "--schema=rolecall", "--dbname="+restored, b.dump)
	pool, err = pgxpool.New(t.Context(), restored)
	require.NoError(t, err)
	require.NoError(t, migrations.Up(t.Context(), pool)) // which gives the reader the schema
	pool.Close()
	require.Equal(t, schema, schemaOf(to))
	b.requireRestored(t, restored)
}

// TestRestore_OnTheSameServer: neither the cluster nor its timeline tells that a dump was restored.
func TestRestore_OnTheSameServer(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	server := pgtest.NewCluster(t, nil)
	b := backUp(t, server, server.Migrated("rolecall"))
	b.DB.Close()
	server.Exec("", "DROP DATABASE rolecall WITH (FORCE)", "CREATE DATABASE rolecall ENCODING 'UTF8' TEMPLATE template0")
	server.Program("pg_restore", "--exit-on-error", "--dbname="+server.URL("rolecall"), b.dump)
	b.requireRestored(t, server.URL("rolecall"))
	require.Equal(t, "a dump was restored", server.Value("rolecall", "SELECT change FROM rolecall.database_identity"))
}

// TestRestore_IsNoticedOnce, and never without a restore.
func TestRestore_IsNoticedOnce(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true}, sweepsAtCommand)
	b.Open(t, url)
	orders := func() (n int) {
		require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.river_job WHERE args ->> 'trigger' = 'failover'").Scan(&n))
		return n
	}
	b.Restart(t, b.Config, config.Parts{Web: true})
	require.Zero(t, orders())
	_, err := b.DB.Exec(t.Context(), "UPDATE rolecall.database_identity SET table_oid = 1")
	require.NoError(t, err, "as a dump has it")
	for range 2 {
		b.Restart(t, b.Config, config.Parts{Web: true})
		require.Equal(t, 1, orders())
	}
	_, err = b.DB.Exec(t.Context(), "UPDATE rolecall.database_identity SET table_oid = NULL, changed_at = NULL")
	require.NoError(t, err, "as an older instance writes it")
	b.Restart(t, b.Config, config.Parts{Web: true})
	require.Equal(t, 1, orders())
}

// schemaOf describes the schema as pg_dump does.
func schemaOf(server *pgtest.Cluster) string {
	lines := slices.Collect(strings.Lines(server.Program("pg_dump", "--schema-only", "--schema=rolecall", "--no-owner", "--dbname="+server.URL("rolecall"))))
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, `\restrict`) || strings.HasPrefix(line, `\unrestrict`)
	}), "")
}
