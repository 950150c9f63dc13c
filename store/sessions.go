package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// endSessions adds the statement that records the ends of sessions, unless there are none. It comes
// before the statements that save the mirror: a transaction that waits here, for another one that
// ends the same session, holds nothing but locks of rows.
func endSessions(p *pipeline, ids []string) {
	if len(ids) > 0 {
		p.exec(dbsqlc.EndSessions, nil, slices.Sorted(slices.Values(ids)))
	}
}

// SessionsEnded reports whether any end of a session came within the last day, and how many
// deliveries did; it counts no more than enough.
func SessionsEnded(ctx context.Context, db DBTX, enough int) (ended bool, deliveries int64, err error) {
	r, err := queries().SessionsEnded(ctx, db, pageSize(enough))
	if err != nil {
		return false, 0, fmt.Errorf("look for ends of sessions: %w", err)
	}
	return r.Ended, r.Deliveries, nil
}

// PruneSessions forgets at most limit sessions that ended more than 8 days ago, and returns their
// number. By then no token names them, not even as an impersonator's.
func PruneSessions(ctx context.Context, db DBTX, limit int) (int, error) {
	n, err := queries().PruneSessions(ctx, db, pageSize(limit))
	if err != nil {
		return 0, fmt.Errorf("prune ended sessions: %w", err)
	}
	return int(n), nil
}
