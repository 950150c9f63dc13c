package sweep

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// billed sweeps a Clerk that gives this answer about its Billing.
func (b *bundle) billed(t *testing.T, d *mirrortest.Directory, billing clerksync.Billing, err error) Report {
	t.Helper()
	s, failed := New(Config{
		Pool: b.Pool, Clerk: d, Logger: b.Logs.Logger(),
		Billing: func(context.Context) (clerksync.Billing, error) { return billing, err },
	})
	require.NoError(t, failed)
	report, failed := s.Run(t.Context(), Options{})
	require.NoError(t, failed)
	return report
}

// TestBilling_WarnsThatPlansAreNotMirrored: the warning comes only where Billing is on and roles
// grant permissions that a plan may take away. The last answer counts while Clerk gives none.
func TestBilling_WarnsThatPlansAreNotMirrored(t *testing.T) {
	t.Parallel()
	const warning = "knows no plans"
	b, d := setup(t), furnished(1, 0)
	d.Set(clerksync.ResourcePermission, map[string]any{"id": "perm_s", "key": "org:sys_memberships:read", "created_at": mirrortest.T0, "updated_at": mirrortest.T0})
	d.Set(clerksync.ResourceRole, map[string]any{
		"id": "role_1", "key": "org:member", "created_at": mirrortest.T0, "updated_at": mirrortest.T0, "permissions": []any{map[string]any{"id": "perm_s"}},
	})
	on := clerksync.Billing{On: true, Plans: 2}
	require.Equal(t, &BillingReport{On: true, Plans: 2}, b.billed(t, d, on, nil).Billing)
	require.NotContains(t, b.Logs.String(), warning, "Clerk's system permissions need no plan")

	d.Set(clerksync.ResourcePermission, map[string]any{"id": "perm_c", "key": "org:reports:read", "created_at": mirrortest.T0, "updated_at": mirrortest.T0})
	d.Set(clerksync.ResourceRole, map[string]any{
		"id": "role_1", "key": "org:member", "created_at": mirrortest.T0, "updated_at": mirrortest.T0 + 1,
		"permissions": []any{map[string]any{"id": "perm_s"}, map[string]any{"id": "perm_c"}},
	})
	require.False(t, b.billed(t, d, clerksync.Billing{}, nil).Billing.Unmirrored())
	require.NotContains(t, b.Logs.String(), warning)
	noticed := b.billed(t, d, on, nil).Billing
	require.Equal(t, &BillingReport{On: true, Plans: 2, CustomPermissions: 1}, noticed)
	require.True(t, noticed.Unmirrored())
	require.Contains(t, b.Logs.String(), warning)

	require.Equal(t, noticed, b.billed(t, d, clerksync.Billing{}, errors.New("boom")).Billing)
	require.False(t, b.billed(t, d, clerksync.Billing{}, nil).Billing.Unmirrored())
}
