package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Grants returns the policy that the SQL functions rolecall.can and rolecall.workspaces_of use,
// each role's permissions sorted. It is empty until a process has saved one. A role without
// permissions isn't in it.
func Grants(ctx context.Context, db DBTX) (clerksync.Grants, error) {
	rows, err := queries().Grants(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("read grants: %w", err)
	}
	policy := clerksync.Grants{}
	for _, row := range rows {
		policy[row.Role] = append(policy[row.Role], row.Permission)
	}
	return policy, nil
}

// SavedGrants is the result of [SaveGrants].
type SavedGrants struct {
	// Before is the policy that the SQL functions used until now.
	Before clerksync.Grants
	// Changed says that the SQL functions use another policy from now on.
	Changed bool
	// Overtaken says that the SQL functions keep another policy, because that was read later than
	// this one.
	Overtaken bool
}

// SaveGrants makes the SQL functions use a policy that was read the given time ago. It writes only
// the grants that differ, so that instances with one policy don't disturb each other. Of several
// policies, the one that was read last counts. It must be called in a transaction. Other savers
// wait for the end of that transaction.
func SaveGrants(ctx context.Context, tx DBTX, policy clerksync.Grants, age time.Duration) (SavedGrants, error) {
	last, err := queries().SavePolicyReading(ctx, tx, age.Seconds())
	if err != nil {
		return SavedGrants{}, fmt.Errorf("save when the policy was read: %w", err)
	}
	before, err := Grants(ctx, tx)
	if err != nil || SameGrants(before, policy) {
		return SavedGrants{Before: before}, err
	}
	if last == 0 {
		return SavedGrants{Before: before, Overtaken: true}, nil
	}
	return SavedGrants{Before: before, Changed: true}, replaceGrants(ctx, tx, grantRows(policy))
}

// SameGrants reports whether two policies grant the same, whatever the order.
func SameGrants(a, b clerksync.Grants) bool { return slices.Equal(grantRows(a), grantRows(b)) }

func replaceGrants(ctx context.Context, tx DBTX, rows []dbsqlc.RolecallGrant) error {
	var params dbsqlc.InsertGrantsParams
	for _, row := range rows {
		params.Roles = append(params.Roles, row.Role)
		params.Permissions = append(params.Permissions, row.Permission)
	}
	if err := queries().DeleteGrants(ctx, tx); err != nil {
		return fmt.Errorf("delete grants: %w", err)
	}
	if err := queries().InsertGrants(ctx, tx, params); err != nil {
		return fmt.Errorf("insert grants: %w", err)
	}
	return nil
}

// grantRows lists a policy row by row, in an order that doesn't depend on the database's collation.
func grantRows(policy clerksync.Grants) []dbsqlc.RolecallGrant {
	var rows []dbsqlc.RolecallGrant
	for role, permissions := range policy {
		for _, permission := range permissions {
			rows = append(rows, dbsqlc.RolecallGrant{Role: role, Permission: permission})
		}
	}
	slices.SortFunc(rows, func(a, b dbsqlc.RolecallGrant) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Permission, b.Permission))
	})
	return slices.Compact(rows)
}

// KnownPermissions lists at most limit permissions that a role may have, sorted: those that the
// policy grants, and the custom ones of Clerk.
func KnownPermissions(ctx context.Context, db DBTX, limit int) ([]string, error) {
	known, err := queries().KnownPermissions(ctx, db, pageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("list permissions: %w", err)
	}
	return known, nil
}
