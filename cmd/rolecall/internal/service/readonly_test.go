package service_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
)

// TestReadPool_CannotWrite: Postgres refuses every write of the API's reading pool.
func TestReadPool_CannotWrite(t *testing.T) {
	t.Parallel()
	p, _ := setupPolicy(t).start(t, config.Parts{Web: true})
	for _, sql := range []string{
		"DELETE FROM rolecall.memberships", "INSERT INTO rolecall.grants VALUES ('org:member', 'billing:manage')",
		"CREATE TABLE rolecall.mine ()", "SELECT 1 FROM rolecall.memberships FOR UPDATE", "SELECT nextval('rolecall.river_job_id_seq')",
	} {
		_, err := p.Pools().Read.Exec(t.Context(), sql)
		refused := new(pgconn.PgError)
		require.ErrorAs(t, err, &refused, sql)
		require.Equal(t, "25006", refused.Code, sql) // read_only_sql_transaction
	}
	_, err := p.Pools().Work.Exec(t.Context(), "DELETE FROM rolecall.memberships")
	require.NoError(t, err, "others can")
}

// reader creates a role as in the example, and returns its name and a configuration that reads as
// this role.
func (b *policyBundle) reader(t *testing.T) (string, config.Config) {
	t.Helper()
	role := "rolecall_test_api_" + strings.ToLower(rand.Text()[:10])
	example, err := os.ReadFile(servicetest.InRepository(t, "deploy/read_only_role.sql"))
	require.NoError(t, err)
	_, err = b.db.Exec(t.Context(), strings.ReplaceAll(string(example), "rolecall_api", role))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := b.db.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+"; DROP ROLE "+role)
		require.NoError(t, err)
	})
	reading, err := url.Parse(b.url)
	require.NoError(t, err)
	reading.User = url.UserPassword(role, "change-me")
	return role, servicetest.Settings(t, func(c *config.Config) {
		c.DatabaseURL, c.ReadDatabaseURL, c.ServiceTokens = b.url, reading.String(), "reports:"+b.hash
	})
}

// TestReadRole_StartNamesTablesItMayNotRead, as after an older version's example, or after a lost
// right.
func TestReadRole_StartNamesTablesItMayNotRead(t *testing.T) {
	t.Parallel()
	b := setupPolicy(t)
	role, cfg := b.reader(t)
	_, err := b.db.Exec(t.Context(), "REVOKE SELECT ON rolecall.current_memberships, rolecall.users, rolecall.river_job FROM "+role)
	require.NoError(t, err)
	log := &testlog.Lines{}
	p, err := service.Start(t.Context(), cfg, config.Parts{Web: true}, log.Logger())
	require.NoError(t, err, "the API may not need them")
	require.NoError(t, p.Stop(t.Context()))
	require.Contains(t, log.String(), `"tables":["current_memberships","users"]`)

	_, err = b.db.Exec(t.Context(), "REVOKE USAGE ON SCHEMA rolecall FROM "+role)
	require.NoError(t, err)
	_, err = service.Start(t.Context(), cfg, config.Parts{Web: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "ROLECALL_READ_DATABASE_URL: the role "+role+" may not use the schema rolecall")
}

// TestReadRole_ServesEveryReadingRoute with the role of the example.
func TestReadRole_ServesEveryReadingRoute(t *testing.T) {
	t.Parallel()
	b := setupPolicy(t)
	ctx := t.Context()
	_, err := b.db.Exec(ctx, "UPDATE rolecall.memberships SET role = 'org:admin'")
	require.NoError(t, err)
	role, cfg := b.reader(t)
	_, err = b.db.Exec(ctx, "CREATE VIEW rolecall.of_a_later_version AS SELECT id FROM rolecall.users; CREATE TABLE rolecall.later (id text)")
	require.NoError(t, err)
	log := &testlog.Lines{}
	p, err := service.Start(ctx, cfg, config.Parts{Web: true}, log.Logger())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop(context.WithoutCancel(ctx))) })
	require.NotContains(t, log.String(), "ROLECALL_READ_DATABASE_URL", "it may read tables of later migrations, too")
	_, err = p.Pools().Read.Exec(ctx, "SELECT FROM rolecall.of_a_later_version, rolecall.later")
	require.NoError(t, err)
	var user string
	require.NoError(t, p.Pools().Read.QueryRow(ctx, "SELECT current_user").Scan(&user))
	require.Equal(t, role, user)
	err = pgx.BeginTxFunc(ctx, p.Pools().Read.(pgpool.Pool), pgx.TxOptions{AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM rolecall.memberships")
		return err
	})
	require.ErrorContains(t, err, "permission denied", "even in a read-write transaction")

	client := newClient(t)
	require.True(t, b.allowed(t, client, p.WebAddr, "members:manage"))
	for _, path := range []string{
		"/v1/me", "/v1/workspaces/org_1", "/v1/workspaces/org_1/me", "/v1/workspaces/org_1/members", "/v1/workspaces/org_1/invitations",
		"/v1/workspaces/org_1/audit", "/v1/workspaces/org_1/audit?actor=user_1", "/v1/workspaces/org_1/audit/export",
		"/v1/authorize?workspace_id=org_1&permission=members:manage",
	} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.WebAddr+path, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+b.token)
		request.Header.Set("Rolecall-On-Behalf-Of", "user_1")
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, path)
	}
}

// TestReadRole_OtherDatabaseIsRefused: a copy, or a standby, could admit removed members.
func TestReadRole_OtherDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	cfg := servicetest.Settings(t, func(c *config.Config) { c.ReadDatabaseURL = pgtest.URL(t) })
	_, err := service.Start(t.Context(), cfg, config.Parts{Web: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "ROLECALL_READ_DATABASE_URL is another database")
	cfg.ReadDatabaseURL = "postgres://u:opensesame@%zz"
	_, err = service.Start(t.Context(), cfg, config.Parts{Web: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "ROLECALL_READ_DATABASE_URL is not a Postgres URL")
	require.NotContains(t, err.Error(), "opensesame")
}
