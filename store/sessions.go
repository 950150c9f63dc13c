package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// endSessions adds the statement that records the ends of sessions, unless there are none. It comes
// before the statements that save the mirror: a transaction that waits here, for another one that
// ends the same session, holds nothing but locks of rows.
func endSessions(p *pipeline, ended []clerksync.EndedSession) {
	if len(ended) == 0 {
		return
	}
	ids, users := make([]string, len(ended)), make([]string, len(ended))
	for i, e := range ended {
		ids[i], users[i] = e.ID, e.UserID
	}
	p.exec(dbsqlc.EndSessions, nil, ids, users)
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

// SessionsNamed is how long after a session's end a token may still name it. A session's own tokens
// live for 24 hours at most (package auth). But an impersonated session goes on at Clerk, and its
// new tokens still name the impersonator's session. Clerk lets such a session live for 30 minutes,
// unless it is asked for more; 8 days are a week, which is how long Clerk's sessions live, and a
// day for the last token.
const SessionsNamed = 8 * 24 * time.Hour

// PruneSessions forgets at most limit sessions that ended longer ago than age, and returns their
// number. An age below [SessionsNamed] would admit tokens of sessions that have ended.
func PruneSessions(ctx context.Context, db DBTX, age time.Duration, limit int) (int, error) {
	n, err := queries().PruneSessions(ctx, db, dbsqlc.PruneSessionsParams{Seconds: age.Seconds(), Batch: pageSize(limit)})
	if err != nil {
		return 0, fmt.Errorf("prune ended sessions: %w", err)
	}
	return int(n), nil
}
