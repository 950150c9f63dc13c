package jobs

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// auditRow is one row of the audit log in short.
type auditRow struct{ Organization, Actor, Action, Target, Cause string }

func (b *bundle) audit(t *testing.T) []auditRow {
	t.Helper()
	rows, err := b.pool.Query(t.Context(),
		"SELECT organization_id, coalesce(actor, ''), action, target, cause FROM rolecall.audit_log ORDER BY id")
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[auditRow])
	require.NoError(t, err)
	return found
}

func TestEachEffectiveChangeIsAuditedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	member := func(id, what, role string, after int64) clerksync.Delivery {
		return event(t, id, "organizationMembership."+what, after, map[string]any{
			"id": "orgmem_1", "role": role, "created_at": t0, "updated_at": t0 + after,
			"organization": map[string]any{"id": "org_1"}, "public_user_data": map[string]any{"user_id": "user_2"},
		})
	}
	organization := func(id, what, name string, after int64) clerksync.Delivery {
		return event(t, id, "organization."+what, after, map[string]any{
			"id": "org_1", "name": name, "created_by": "user_1", "created_at": t0, "updated_at": t0 + after,
		})
	}
	invitation := func(id, what, status string, after int64) clerksync.Delivery {
		return event(t, id, "organizationInvitation."+what, after, map[string]any{
			"id": "orginv_1", "organization_id": "org_1", "email_address": "kim@callmine.test", "role": "org:member", "status": status,
			"inviter_id": "user_1", "user_id": "user_2", "updated_at": t0 + after,
		})
	}
	user := func(id string, after int64, banned bool) clerksync.Delivery {
		return event(t, id, "user.updated", after, map[string]any{"id": "user_2", "banned": banned, "updated_at": t0 + after})
	}
	history := []clerksync.Delivery{
		organization("msg_01", "created", "North", 1),
		invitation("msg_02", "created", "pending", 2),
		invitation("msg_03", "accepted", "accepted", 3),
		member("msg_04", "created", "org:member", 4),
		member("msg_05", "updated", "org:admin", 5),
		organization("msg_06", "updated", "South", 6),
		user("msg_07", 7, true),
		user("msg_08", 8, false),
		member("msg_09", "deleted", "org:admin", 5),
		event(t, "msg_10", "role.updated", 10, map[string]any{"id": "role_1", "key": "org:clerk", "updated_at": t0 + 10}),
		event(t, "msg_11", "organization.deleted", 11, map[string]any{"id": "org_1"}),
		member("msg_12", "updated", "org:member", 4),                                  // late
		organization("msg_13", "updated", "Late", 3),                                  // late
		event(t, "msg_14", "organization.deleted", 11, map[string]any{"id": "org_1"}), // once more
	}
	for _, d := range history {
		b.insert(t, d)
		_, err := b.apply(t.Context(), d.ID)
		require.NoError(t, err)
	}
	require.Equal(t, []auditRow{
		{"org_1", "user_1", "workspace.created", "org_1", "msg_01"},
		{"org_1", "user_1", "invitation.sent", "orginv_1", "msg_02"},
		{"org_1", "user_2", "invitation.accepted", "orginv_1", "msg_03"},
		{"org_1", "", "member.joined", "user_2", "msg_04"},
		{"org_1", "", "member.role_changed", "user_2", "msg_05"},
		{"org_1", "", "workspace.renamed", "org_1", "msg_06"},
		{"", "", "user.banned", "user_2", "msg_07"},
		{"", "", "user.unbanned", "user_2", "msg_08"},
		{"org_1", "", "member.removed", "user_2", "msg_09"},
		{"", "", "role.changed", "role_1", "msg_10"},
		{"org_1", "", "workspace.deleted", "org_1", "msg_11"},
	}, b.audit(t))
	var before, after string
	require.NoError(t, b.pool.QueryRow(t.Context(),
		"SELECT before ->> 'role', after ->> 'role' FROM rolecall.audit_log WHERE action = 'member.role_changed'").Scan(&before, &after))
	require.Equal(t, []string{"org:member", "org:admin"}, []string{before, after})
}

func TestTheAuditLogIsAppendOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.insert(t, joined(t, "msg_1", "orgmem_1", "org_1", "user_1"))
	_, err := b.apply(t.Context(), "msg_1")
	require.NoError(t, err)
	for _, change := range []string{
		"UPDATE rolecall.audit_log SET action = 'x'", "DELETE FROM rolecall.audit_log", "TRUNCATE rolecall.audit_log",
		"DELETE FROM rolecall.audit_log WHERE false",
	} {
		_, err := b.pool.Exec(t.Context(), change)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused, change)
		require.Contains(t, refused.Message, "append-only")
	}
	require.Len(t, b.audit(t), 1)
}
