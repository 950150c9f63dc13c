package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// reader reads what happened since it was asked last.
type reader struct {
	ledger *store.LedgerFollower
	audit  *store.AuditFollower
}

func newReader() *reader {
	return &reader{ledger: store.FollowLedger(store.Filter{}), audit: store.FollowAudit(store.AuditQuery{})}
}

// events returns at most limit events, the asked requests among them, and how many more there were.
func (r *reader) events(ctx context.Context, db database.DB, asked []*request, limit int) (events []event, more int) {
	err := db.Snapshot(ctx, func(tx store.DBTX) error {
		rows, err := r.ledger.Next(ctx, tx)
		if err != nil {
			return err
		}
		logged, err := r.audit.Next(ctx, tx)
		if err != nil {
			return err
		}
		events, more, err = tell(ctx, tx, ended(rows), untold(logged), asked, limit)
		return err
	})
	if err != nil {
		return nil, more + len(asked)
	}
	return events, more
}

// ended returns the deliveries that don't wait any more.
func ended(rows []store.LedgerRow) (to []store.LedgerRow) {
	for _, r := range rows {
		if r.AppliedAt != nil || r.State == clerksync.StateQuarantined {
			to = append(to, r)
		}
	}
	return to
}

// untold returns the entries that no delivery and no request of the feed tells: those of sweeps and
// look-ups.
func untold(logged []clerksync.LoggedEntry) (to []clerksync.LoggedEntry) {
	for _, e := range logged {
		if _, swept := clerksync.SweepID(e.Cause); swept || strings.HasPrefix(e.Cause, "lookup_") {
			to = append(to, e)
		}
	}
	return to
}

// tell makes events of what happened. If that is more than the limit, only the first of each sort
// are told.
func tell(ctx context.Context, db store.DBTX, rows []store.LedgerRow, logged []clerksync.LoggedEntry, asked []*request, limit int,
) (events []event, more int, err error) {
	first := func(n int) int {
		k := min(n, max(0, limit-len(events)))
		more += n - k
		return k
	}
	for _, r := range rows[:first(len(rows))] {
		e, err := ofDelivery(ctx, db, r)
		if err != nil {
			return nil, 0, err
		}
		events = append(events, e)
	}
	logged = logged[:first(len(logged))]
	said, err := sentences(ctx, db, logged)
	if err != nil {
		return nil, 0, err
	}
	for i, e := range logged {
		events = append(events, event{at: time.Now(), what: e.Cause + "  " + said[i], outcome: "repaired"})
	}
	asked = asked[:first(len(asked))]
	ids := []string{}
	for _, r := range asked {
		ids = append(ids, r.ids()...)
	}
	known, err := namesOf(ctx, db, ids)
	if err != nil {
		return nil, 0, err
	}
	for _, r := range asked {
		events = append(events, r.event(known))
	}
	return events, more, nil
}

// ofDelivery tells a delivery: what it changed or, if it changed nothing, what it is about.
func ofDelivery(ctx context.Context, db store.DBTX, listed store.LedgerRow) (event, error) {
	row, err := store.FindLedgerRow(ctx, db, listed.SvixID) // with its body
	if err != nil {
		return event{}, err
	}
	changed, err := changes(ctx, db, row)
	if err != nil {
		return event{}, err
	}
	about := strings.Join(changed, "; ")
	if about == "" {
		user := support.UserOfDelivery(row)
		known, err := namesOf(ctx, db, []string{row.ObjectID, row.OrganizationID, user})
		if err != nil {
			return event{}, err
		}
		about = known[row.ObjectID]
		if user != "" {
			about = known.of(user)
		}
		if workspace := known[row.OrganizationID]; workspace != about {
			about += orNothing(", ", workspace)
		}
	}
	e := event{at: row.ReceivedAt, what: string(row.EventType) + orNothing("  ", about), outcome: string(row.State)}
	if row.AppliedAt == nil {
		e.outcome += ": see the console"
		return e, nil
	}
	from := row.ReceivedAt
	if row.ReplayedAt != nil {
		from = *row.ReplayedAt
	}
	e.at, e.outcome = *row.AppliedAt, fmt.Sprintf("%s in %s", row.State, short(row.AppliedAt.Sub(from)))
	return e, nil
}

// short writes a time to wait: with a tenth below ten milliseconds, and without one above.
func short(d time.Duration) string {
	d = max(0, d)
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	if d < 10*time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return d.Round(time.Second).String()
}
