package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/jobs/command"
	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// commandBundle is the API with a simulated Clerk behind it, which it may change. There are no
// webhooks.
type commandBundle struct {
	*serverBundle

	clerk  *clerksim.World
	behind atomic.Int64 // how far Clerk's clock is behind, as a time.Duration
	client *clerkapi.Client
	faults *clerksim.APIFaults
	pool   *pgxpool.Pool
}

func setupCommands(t *testing.T) *commandBundle {
	t.Helper()
	b := &commandBundle{faults: clerksim.NewAPIFaults()}
	var err error
	b.clerk, err = clerksim.New(clerksim.Config{Now: func() time.Time { return time.Now().Add(-time.Duration(b.behind.Load())) }})
	require.NoError(t, err)
	clerk := httptest.NewServer(b.clerk.Handler(b.faults.Middleware))
	t.Cleanup(clerk.Close)
	b.client, err = clerkapi.New(clerkapi.Config{
		URL: clerk.URL + "/v1", SecretKey: b.clerk.SecretKey(), Transport: &http.Transport{}, CallsPerSecond: 1e6,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(b.client.Close)
	b.serverBundle = setupServer(t, func(c *Config) {
		b.pool = c.DB.(*pgxpool.Pool)
		c.Commander, err = command.New(command.Config{Pool: b.pool, Clerk: b.client, LookAgainAfter: time.Millisecond, Logger: c.Logger})
		require.NoError(t, err)
	})
	return b
}

// person makes a user at Clerk.
func (b *commandBundle) person(emails ...string) string {
	b.tb.Helper()
	u, err := b.clerk.CreateUser(clerksim.NewUser{Emails: emails})
	require.NoError(b.tb, err)
	return u.ID
}

// team makes a workspace with an admin and a member, and returns all three. The member's membership
// reaches the mirror as if by a look-up.
func (b *commandBundle) team() (workspace, admin, member string) {
	b.tb.Helper()
	admin, member = b.person("admin@callmine.test"), b.person("member@callmine.test")
	x := b.command(admin, http.MethodPost, "/v1/workspaces", `{"name":"North"}`)
	require.Equal(b.tb, http.StatusCreated, x.status, "%s", x.body)
	workspace = b.fields(x)["workspace_id"].(string)
	b.join(workspace, member, clerksim.RoleMember)
	return workspace, admin, member
}

// join makes a user a member at Clerk and in the mirror.
func (b *commandBundle) join(workspace, user, role string) {
	b.tb.Helper()
	m, err := b.clerk.AddMember(workspace, user, role)
	require.NoError(b.tb, err)
	raw, err := json.Marshal(map[string]any{
		"id": m.ID, "role": role, "permissions": []string{}, "created_at": m.CreatedAt.UnixMilli(), "updated_at": m.UpdatedAt.UnixMilli(),
		"organization": map[string]any{"id": workspace}, "public_user_data": map[string]any{"user_id": user},
	})
	require.NoError(b.tb, err)
	b.observe(b.read(clerksync.ResourceMembership, raw)...)
}

// observeMembership brings a user's membership as it is at Clerk into the mirror, as a webhook or a
// sweep would.
func (b *commandBundle) observeMembership(workspace, user string) {
	b.tb.Helper()
	found, err := b.client.Find(b.tb.Context(), clerksync.ResourceMembership, clerksync.Reference{OrganizationID: workspace, UserID: user})
	require.NoError(b.tb, err)
	if len(found) == 0 {
		m, _, err := store.MembershipOf(b.tb.Context(), b.pool, store.Pair{UserID: user, OrganizationID: workspace})
		require.NoError(b.tb, err)
		ref := clerksync.Reference{ID: m.MembershipID, OrganizationID: workspace, UserID: user}
		b.observe(clerksync.Gone(clerksync.ResourceMembership, ref, time.Now().UnixMilli(), "test"))
		return
	}
	b.observe(b.read(clerksync.ResourceMembership, found...)...)
}

// read returns the facts of objects as Clerk's API shows them now.
func (b *commandBundle) read(kind clerksync.Resource, objects ...json.RawMessage) []clerksync.Facts {
	b.tb.Helper()
	facts, err := merge.Read(kind, objects, time.Now(), "test")
	require.NoError(b.tb, err)
	return facts
}

// observe merges facts that Clerk's API shows now.
func (b *commandBundle) observe(facts ...clerksync.Facts) {
	b.tb.Helper()
	require.NoError(b.tb, pgx.BeginFunc(b.tb.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := merge.Observation(b.tb.Context(), tx, merge.Observed{Facts: facts, AskedAt: time.Now(), Cause: "test"})
		return err
	}))
}

// command sends a command with a JSON body.
func (b *commandBundle) command(token, method, target, body string, headers ...string) exchange {
	b.tb.Helper()
	if body != "" {
		headers = append(headers, "Content-Type", "application/json")
	}
	return b.send(token, method, target, body, headers...)
}

// fields returns an answer's body.
func (b *commandBundle) fields(x exchange) map[string]any {
	b.tb.Helper()
	var body map[string]any
	require.NoError(b.tb, json.Unmarshal(x.body, &body), "%s", x.body)
	return body
}

// settle makes all memberships a minute older.
func (b *commandBundle) settle() {
	b.tb.Helper()
	_, err := b.pool.Exec(b.tb.Context(), "UPDATE rolecall.memberships SET created_at = created_at - interval '1 minute'")
	require.NoError(b.tb, err)
}

// membershipID returns the id of a user's membership at Clerk.
func (b *commandBundle) membershipID(workspace, user string) string {
	b.tb.Helper()
	m, ok := b.clerk.Membership(workspace, user)
	require.True(b.tb, ok)
	return m.ID
}

// changes counts the calls that change something at Clerk.
func (b *commandBundle) changes() int {
	n := 0
	for route, calls := range b.faults.Calls() {
		if len(route) > 3 && route[:3] != http.MethodGet {
			n += calls
		}
	}
	return n
}

// auditLine is an audit entry in short.
type auditLine struct{ Action, Actor, Target string }

// audit lists the workspace's audit entries, oldest first.
func (b *commandBundle) audit(workspace string) []auditLine {
	b.tb.Helper()
	rows, err := b.pool.Query(context.Background(),
		"SELECT action, coalesce(actor, ''), target FROM rolecall.audit_log WHERE organization_id = $1 ORDER BY id", workspace)
	require.NoError(b.tb, err)
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[auditLine])
	require.NoError(b.tb, err)
	return entries
}
