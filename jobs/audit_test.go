package jobs

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// auditedHistory is a history with every sort of change, and with deliveries that come late.
func auditedHistory(t *testing.T) []clerksync.Delivery {
	t.Helper()
	member := func(id, what, role string, after int64) clerksync.Delivery {
		return mirrortest.Event(t, id, "organizationMembership."+what, after, map[string]any{
			"id": "orgmem_1", "role": role, "created_at": mirrortest.T0, "updated_at": mirrortest.T0 + after,
			"organization": map[string]any{"id": "org_1"}, "public_user_data": map[string]any{"user_id": "user_2"},
		})
	}
	organization := func(id, what, name string, after int64) clerksync.Delivery {
		return mirrortest.Event(t, id, "organization."+what, after, map[string]any{
			"id": "org_1", "name": name, "created_by": "user_1", "created_at": mirrortest.T0, "updated_at": mirrortest.T0 + after,
		})
	}
	invitation := func(id, what, status string, after int64) clerksync.Delivery {
		return mirrortest.Event(t, id, "organizationInvitation."+what, after, map[string]any{
			"id": "orginv_1", "organization_id": "org_1", "email_address": "kim@callmine.test", "role": "org:member", "status": status,
			"inviter_id": "user_1", "user_id": "user_2", "updated_at": mirrortest.T0 + after,
		})
	}
	user := func(id string, after int64, banned bool) clerksync.Delivery {
		return mirrortest.Event(t, id, "user.updated", after, map[string]any{"id": "user_2", "banned": banned, "updated_at": mirrortest.T0 + after})
	}
	return []clerksync.Delivery{
		organization("msg_01", "created", "North", 1),
		invitation("msg_02", "created", "pending", 2),
		invitation("msg_03", "accepted", "accepted", 3),
		member("msg_04", "created", "org:member", 4),
		member("msg_05", "updated", "org:admin", 5),
		organization("msg_06", "updated", "South", 6),
		user("msg_07", 7, true),
		user("msg_08", 8, false),
		member("msg_09", "deleted", "org:admin", 5),
		mirrortest.Event(t, "msg_10", "role.updated", 10, map[string]any{"id": "role_1", "key": "org:clerk", "updated_at": mirrortest.T0 + 10}),
		mirrortest.Event(t, "msg_11", "organization.deleted", 11, map[string]any{"id": "org_1"}),
		member("msg_12", "updated", "org:member", 4),                                             // late
		organization("msg_13", "updated", "Late", 3),                                             // late
		mirrortest.Event(t, "msg_14", "organization.deleted", 11, map[string]any{"id": "org_1"}), // once more
	}
}

func TestApply_AuditsEachEffectiveChangeOnce(t *testing.T) {
	t.Parallel()
	b, history := setup(t), auditedHistory(t)
	for _, d := range history {
		b.Insert(t, d)
		_, err := b.apply(t.Context(), d.ID)
		require.NoError(t, err)
	}
	want := []mirrortest.AuditRow{
		{Organization: "org_1", Actor: "user_1", Action: "workspace.created", Target: "org_1", Cause: "msg_01"},
		{Organization: "org_1", Actor: "user_1", Action: "invitation.sent", Target: "orginv_1", Cause: "msg_02"},
		{Organization: "org_1", Actor: "user_2", Action: "invitation.accepted", Target: "orginv_1", Cause: "msg_03"},
		{Organization: "org_1", Action: "member.joined", Target: "user_2", Cause: "msg_04"},
		{Organization: "org_1", Action: "member.role_changed", Target: "user_2", Cause: "msg_05"},
		{Organization: "org_1", Action: "workspace.renamed", Target: "org_1", Cause: "msg_06"},
		{Action: "user.banned", Target: "user_2", Cause: "msg_07"},
		{Action: "user.unbanned", Target: "user_2", Cause: "msg_08"},
		{Organization: "org_1", Action: "member.removed", Target: "user_2", Cause: "msg_09"},
		{Action: "role.changed", Target: "role_1", Cause: "msg_10"},
		{Organization: "org_1", Action: "workspace.deleted", Target: "org_1", Cause: "msg_11"},
		{Organization: "org_1", Action: "member.restated", Target: "user_2", Cause: "msg_12"}, // the role before msg_09
		{Organization: "org_1", Action: "member.restated", Target: "user_2", Cause: "msg_12"}, // the end
	}
	require.Equal(t, want, b.Audit(t))
	b.Exec(t, "UPDATE rolecall.deliveries SET state = 'received'") // as a replay does
	_, err := b.apply(t.Context(), mirrortest.IDs(history)...)
	require.NoError(t, err)
	require.Equal(t, want, b.Audit(t), "a replay records nothing again")
	type change struct{ Before, After string }
	var role change
	require.NoError(t, b.Pool.QueryRow(t.Context(),
		"SELECT before ->> 'role', after ->> 'role' FROM rolecall.audit_log WHERE action = 'member.role_changed'").Scan(&role.Before, &role.After))
	require.Equal(t, change{Before: "org:member", After: "org:admin"}, role)
}

func TestAuditLog_IsAppendOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Deliver(t, mirrortest.Joined(t, "msg_1", "orgmem_1", "org_1", "user_1"))
	for _, change := range []string{
		"UPDATE rolecall.audit_log SET action = 'x'", "DELETE FROM rolecall.audit_log", "TRUNCATE rolecall.audit_log",
		"DELETE FROM rolecall.audit_log WHERE false",
	} {
		_, err := b.Pool.Exec(t.Context(), change)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused, change)
		require.Contains(t, refused.Message, "append-only")
	}
	require.Len(t, b.Audit(t), 1)
}
