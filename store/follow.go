package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Followers return what was committed since they were asked last, each row once. A row may be
// committed after later ones: its time or its id was drawn when its transaction began. So a
// follower reads again from the last horizon before which nothing can be committed any more, and
// leaves out what it has returned. It reads in a transaction that sees one snapshot.

const (
	// longestDraw is how long a row may wait between getting its time or id and its first write. The
	// inbox gives a delivery up after 10 seconds.
	longestDraw = 30 * time.Second
	// longestSkew is how far the clocks of the processes may be off the database's.
	longestSkew = 30 * time.Second
	// longestOpen bounds how far a follower reads back for a transaction that doesn't end.
	longestOpen = time.Hour
	// alreadyDrawn is how many entries a new follower reads back, for those that were drawn before it
	// began and are committed later.
	alreadyDrawn = 1000
	// mostWaiting is how many waiting deliveries a follower watches beyond the recent ones.
	mostWaiting = 5000
)

// horizon is a moment of the database, and the transactions of that moment.
type horizon struct {
	at           time.Time
	lastEntry    int64 // the greatest id of the audit log
	oldest, next int64 // transactions: all below oldest have ended, and none from next on had begun to write
}

// horizons are the moments at which a follower read.
type horizons []horizon

// settle notes a moment. It returns the newest earlier one before which all is committed: each row
// drawn until then was written by a transaction that began to write soon after, and has ended. The
// first moment counts as such.
func (h *horizons) settle(now horizon) horizon {
	*h = append(*h, now)
	ended, settled := 0, 0
	for i, then := range *h {
		if now.oldest >= then.next { // all that had begun to write then has ended
			ended = i
		}
	}
	for i, then := range *h {
		if (*h)[ended].at.Sub(then.at) >= longestDraw || now.at.Sub(then.at) > longestOpen {
			settled = i
		}
	}
	*h = (*h)[settled:]
	return (*h)[0]
}

func (h *horizons) read(ctx context.Context, db DBTX) (settled horizon, err error) {
	r, err := queries().ReadHorizon(ctx, db)
	if err != nil {
		return horizon{}, fmt.Errorf("read what is committed: %w", err)
	}
	return h.settle(horizon{at: r.At, lastEntry: r.LastEntry, oldest: r.Oldest, next: r.Next}), nil
}

// LedgerFollower follows the deliveries that a filter selects. The zero value isn't usable.
type LedgerFollower struct {
	filter   Filter
	horizons horizons
	seen     map[string]seenDelivery // by svix-id
}

type seenDelivery struct {
	receivedAt time.Time
	state      clerksync.State
}

// FollowLedger returns a follower. The filter's times, position and limit don't count.
func FollowLedger(f Filter) *LedgerFollower { return &LedgerFollower{filter: f} }

// Next returns the deliveries that were received or changed their state since the last call, the
// oldest first. The first call returns none: it notes what is there.
func (f *LedgerFollower) Next(ctx context.Context, db DBTX) ([]LedgerRow, error) {
	settled, err := f.horizons.read(ctx, db)
	if err != nil {
		return nil, err
	}
	since := settled.at.Add(-longestSkew)
	waiting := f.forget(since)
	states, err := queries().LedgerStates(ctx, db, dbsqlc.LedgerStatesParams{Since: since, SvixIds: waiting})
	if err != nil {
		return nil, fmt.Errorf("read states of deliveries: %w", err)
	}
	first := f.seen == nil
	if first {
		f.seen = map[string]seenDelivery{}
	}
	changed := []string{}
	for _, r := range states {
		now := seenDelivery{r.ReceivedAt, clerksync.State(r.State)}
		if before, known := f.seen[r.SvixID]; !known || before.state != now.state || !before.receivedAt.Equal(now.receivedAt) {
			changed = append(changed, r.SvixID)
			f.seen[r.SvixID] = now
		}
	}
	if first || len(changed) == 0 {
		return nil, nil
	}
	return f.rows(ctx, db, changed)
}

// forget forgets the deliveries received before an instant that don't wait any more. It returns
// those that do.
func (f *LedgerFollower) forget(before time.Time) (waiting []string) {
	waiting = []string{}
	for id, d := range f.seen {
		switch {
		case !d.receivedAt.Before(before):
		case d.state == clerksync.StateReceived && len(waiting) < mostWaiting:
			waiting = append(waiting, id)
		default:
			delete(f.seen, id)
		}
	}
	return waiting
}

func (f *LedgerFollower) rows(ctx context.Context, db DBTX, ids []string) ([]LedgerRow, error) {
	rows, err := queries().LedgerRowsByID(ctx, db, dbsqlc.LedgerRowsByIDParams{
		SvixIds: ids, State: string(f.filter.State), EventType: string(f.filter.EventType), OrganizationID: f.filter.OrganizationID,
		UserID: f.filter.UserID,
	})
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	listed := make([]LedgerRow, len(rows))
	for i, r := range rows {
		listed[i] = ledgerRowWithoutBody(r)
	}
	return listed, nil
}

// AuditFollower follows the entries that a query selects.
type AuditFollower struct {
	selected AuditQuery
	horizons horizons
	seen     map[int64]bool // by id
}

// FollowAudit returns a follower. The query's times and positions don't count. Without an
// organization it follows all.
func FollowAudit(q AuditQuery) *AuditFollower { return &AuditFollower{selected: q} }

// Next returns the entries that were recorded since the last call, in the order of their ids. The
// first call returns none: it notes what is there.
func (f *AuditFollower) Next(ctx context.Context, db DBTX) ([]clerksync.LoggedEntry, error) {
	settled, err := f.horizons.read(ctx, db)
	if err != nil {
		return nil, err
	}
	first := f.seen == nil
	if first {
		f.seen = map[int64]bool{}
		settled.lastEntry -= alreadyDrawn
		f.horizons[0] = settled
	}
	for id := range f.seen {
		if id <= settled.lastEntry {
			delete(f.seen, id)
		}
	}
	arrived := []clerksync.LoggedEntry{}
	for after := settled.lastEntry; ; {
		const page = 1000
		rows, err := queries().AuditArrivals(ctx, db, dbsqlc.AuditArrivalsParams{
			AfterID: after, OrganizationID: f.selected.OrganizationID, Actor: f.selected.Actor, Action: f.selected.Action, Target: f.selected.Target,
			PageSize: page,
		})
		if err != nil {
			return nil, fmt.Errorf("read arrived audit entries: %w", err)
		}
		for _, r := range rows {
			after = r.ID
			if !f.seen[r.ID] {
				f.seen[r.ID] = true
				arrived = append(arrived, loggedEntry(r))
			}
		}
		if len(rows) == page {
			continue
		}
		if first {
			return nil, nil
		}
		return arrived, nil
	}
}
