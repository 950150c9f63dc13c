package store

import (
	"context"
	"fmt"
)

// NamesOf returns what people call objects, by their ids: the e-mail addresses of users and
// invitations, the names of workspaces and domains, the keys of roles. Unknown objects and those
// without a name aren't in it.
func NamesOf(ctx context.Context, db DBTX, ids []string) (map[string]string, error) {
	rows, err := queries().NamesOf(ctx, db, ids)
	if err != nil {
		return nil, fmt.Errorf("read names: %w", err)
	}
	names := make(map[string]string, len(rows))
	for _, r := range rows {
		if r.Name != "" {
			names[r.ID] = r.Name
		}
	}
	return names, nil
}
