package store

import (
	"context"
	"fmt"
)

// RoleKeys returns the keys of Clerk's roles, as far as the mirror knows them.
func RoleKeys(ctx context.Context, db DBTX) ([]string, error) {
	keys, err := queries().RoleKeys(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("list role keys: %w", err)
	}
	return keys, nil
}

// EveryRoleKey returns the keys that roles have or had, as far as the mirror knows them, and those
// of the policy that the database has.
func EveryRoleKey(ctx context.Context, db DBTX) ([]string, error) {
	keys, err := queries().EveryRoleKey(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("list every role key: %w", err)
	}
	return keys, nil
}

// CustomPermissions returns how many custom permissions Clerk's roles grant in the mirror: all but
// Clerk's system permissions, whose keys begin with org:sys_.
func CustomPermissions(ctx context.Context, db DBTX) (int, error) {
	n, err := queries().CustomPermissions(ctx, db)
	if err != nil {
		return 0, fmt.Errorf("count custom permissions: %w", err)
	}
	return int(n), nil
}
