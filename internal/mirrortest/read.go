package mirrortest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Row is one delivery as the ledger has it.
type Row struct {
	State, LastError, Body string
	Attempts               int
	AppliedAt              *time.Time
}

// Ledger returns the delivery's row, or the zero row if there is none.
func (b *DB) Ledger(t testing.TB, svixID string) Row {
	t.Helper()
	rows, err := b.Pool.Query(t.Context(),
		"SELECT state, last_error, coalesce(body, ''), attempts, applied_at FROM rolecall.deliveries WHERE svix_id = $1", svixID)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Row])
	require.NoError(t, err)
	if len(found) == 0 {
		return Row{}
	}
	return found[0]
}

// UntilState waits until a delivery has the state.
func (b *DB) UntilState(t testing.TB, svixID string, want clerksync.State) {
	t.Helper()
	Eventually(t, func() bool { return b.Ledger(t, svixID).State == string(want) }, "%s never became %s", svixID, want)
}

// AuditRow is one row of the audit log in short.
type AuditRow struct{ Organization, Actor, Action, Target, Cause string }

// Audit returns the audit log, oldest entry first.
func (b *DB) Audit(t testing.TB) []AuditRow {
	t.Helper()
	rows, err := b.Pool.Query(t.Context(),
		"SELECT organization_id, coalesce(actor, ''), action, target, cause FROM rolecall.audit_log ORDER BY id")
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AuditRow])
	require.NoError(t, err)
	return found
}

// Roles returns the role of each live membership.
func (b *DB) Roles(t testing.TB) map[string]string {
	t.Helper()
	rows, err := b.Pool.Query(t.Context(), "SELECT id, role FROM rolecall.live_members")
	require.NoError(t, err)
	defer rows.Close()
	roles := map[string]string{}
	var id, role string
	for rows.Next() {
		require.NoError(t, rows.Scan(&id, &role))
		roles[id] = role
	}
	require.NoError(t, rows.Err())
	return roles
}

// Alive counts the objects of a table that have no tombstone.
func (b *DB) Alive(t testing.TB, table string) int {
	t.Helper()
	return b.Count(t, "SELECT count(*) FROM rolecall."+table+" WHERE deleted_at IS NULL")
}

// Mirror reads all organizations, users and memberships of the mirror.
func (b *DB) Mirror(t require.TestingT) clerksync.Mirror {
	ctx := context.Background()
	var facts clerksync.Facts
	ids := func(table string) []string {
		rows, err := b.Pool.Query(ctx, "SELECT id FROM rolecall."+table)
		require.NoError(t, err)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return found
	}
	for _, id := range ids("organizations") {
		facts.Organizations = append(facts.Organizations, clerksync.Organization{Reference: clerksync.Reference{ID: id}})
	}
	for _, id := range ids("users") {
		facts.Users = append(facts.Users, clerksync.User{Reference: clerksync.Reference{ID: id}})
	}
	for _, id := range ids("memberships") {
		facts.Memberships = append(facts.Memberships, clerksync.Membership{Reference: clerksync.Reference{ID: id}})
	}
	read, err := store.ReadMirror(ctx, b.Pool, []clerksync.Facts{facts})
	require.NoError(t, err)
	return read.Mirror
}
