package store

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// RequestsOfChanges returns the ids of the requests that asked for changes, by the ids of the given
// entries. It knows those of commands that aren't pruned yet. Without an entry that a command can
// have made, it asks nothing.
func RequestsOfChanges(ctx context.Context, db DBTX, entries []clerksync.LoggedEntry) (map[int64]string, error) {
	var causes []string
	for _, e := range entries {
		if e.Actor != nil && attributable(commanded(e.Action)) {
			causes = append(causes, e.Cause)
		}
	}
	if len(causes) == 0 {
		return nil, nil
	}
	rows, err := queries().RequestsOfChanges(ctx, db, causes)
	if err != nil {
		return nil, fmt.Errorf("read requests of changes: %w", err)
	}
	asked := make(map[int64]string, len(rows))
	for _, e := range entries {
		for _, r := range rows {
			if made(r, e) {
				asked[e.ID] = r.RequestID
			}
		}
	}
	return asked, nil
}

// made reports whether a command made the change of an entry. One cause may show several changes.
func made(r dbsqlc.RequestsOfChangesRow, e clerksync.LoggedEntry) bool {
	return r.Cause == e.Cause && r.OrganizationID == e.OrganizationID && r.Target == e.Target && r.Action == string(commanded(e.Action))
}

// commanded returns the action of the commands that make entries of the given one.
func commanded(a clerksync.Action) clerksync.Action {
	if a == clerksync.ActionMemberLeft {
		return clerksync.ActionMemberRemoved
	}
	return a
}
