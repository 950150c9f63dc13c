package console

import (
	"context"
	"slices"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func (c *Console) deliveryPages() []page {
	return []page{
		{path: "/deliveries", title: "Deliveries", template: "deliveries", load: c.deliveries},
		{path: "/deliveries/{id}", title: "Delivery", template: "delivery", load: c.delivery},
	}
}

const (
	// deliveriesShown is how many deliveries a page of the list has.
	deliveriesShown = 50
	// searchTime is how long a page searches: filters have no index, and a page answers at once.
	searchTime = 150 * time.Millisecond
	// searched is how far back filters search the ledger, unless the operator chooses: to find that
	// nothing matches, all of that time is read.
	searched = 30 * 24 * time.Hour
)

// deliveriesPage is the data of the template "deliveries".
type deliveriesPage struct {
	Rows     []listedDelivery
	Pager    pager
	Filter   deliveryFilter
	States   []clerksync.State
	Within   []option
	Filtered bool
	All      bool      // the whole ledger is searched
	Advice   string    // what to write; then nothing is listed
	Back     time.Time // how far back it was searched, if that took too long
	Quarantine
}

// Quarantine says what can be done about quarantined deliveries.
type Quarantine struct {
	Quarantined int64
	CanReplay   bool
}

// option is an option of a select.
type option struct{ Value, Text string }

// listedDelivery is a delivery in a list.
type listedDelivery struct {
	store.LedgerRow

	Workspace string // name of the organization; "" if it isn't known
}

// AppliedIn returns how long it took from its receipt, or its last replay, to its end; nil before.
func (d listedDelivery) AppliedIn() *time.Duration {
	if d.AppliedAt == nil {
		return nil
	}
	from := d.ReceivedAt
	if d.ReplayedAt != nil {
		from = *d.ReplayedAt
	}
	return new(max(0, d.AppliedAt.Sub(from)))
}

// Short returns why the delivery is quarantined, in a few words.
func (d listedDelivery) Short() string {
	if d.State != clerksync.StateQuarantined {
		return ""
	}
	why, _ := explainQuarantine(d.LedgerRow)
	return why
}

// deliveryFilter is what the filters of the list say, as they were typed.
type deliveryFilter struct{ State, Type, Workspace, User, Within, Before string }

func (v *visit) deliveryFilter() deliveryFilter {
	return deliveryFilter{
		State: v.filter("state"), Type: v.filter("type"), Workspace: v.filter("workspace"), User: v.filter("user"),
		Within: v.filter("within"), Before: v.filter("before"),
	}
}

func withins() []option {
	return []option{{"1h", "the last hour"}, {"24h", "the last day"}, {"7d", "the last 7 days"}, {"30d", "the last 30 days"}, {"all", "any time"}}
}

// deliveryStates lists the states, the usual ones first.
func deliveryStates() []clerksync.State {
	return []clerksync.State{
		clerksync.StateReceived, clerksync.StateApplied, clerksync.StateSuperseded, clerksync.StateIgnored, clerksync.StateQuarantined,
	}
}

// localTime is how a browser writes an instant of a form, in UTC.
const localTime = "2006-01-02T15:04"

// read reads the filters. A workspace and a user are given by id, name, slug or e-mail address.
func (f deliveryFilter) read(ctx context.Context, db store.DBTX, now time.Time) (to store.Filter, err error) {
	to = store.Filter{State: clerksync.State(f.State), EventType: clerksync.EventType(f.Type)}
	if to.State != "" && !slices.Contains(deliveryStates(), to.State) {
		return to, bad("There is no such state of deliveries", "Choose one of the list.")
	}
	if f.Before != "" {
		if to.Until, err = time.Parse(localTime, f.Before); err != nil {
			return to, bad("The time can't be read", "Write it as 2026-01-31T15:04, in UTC.")
		}
		now = to.Until
	}
	ages := map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30d": searched, "": searched}
	if age, ok := ages[f.Within]; ok {
		to.Since = now.Add(-age)
	} else if f.Within != "all" {
		return to, bad("The time can't be read", "Choose one of the list.")
	}
	if to.OrganizationID, err = support.WorkspaceID(ctx, db, f.Workspace); err != nil {
		return to, err
	}
	to.UserID, err = support.UserID(ctx, db, f.User)
	return to, err
}

// deliveries loads the list of deliveries.
func (c *Console) deliveries(ctx context.Context, v *visit) (any, error) {
	typed := v.deliveryFilter()
	p := deliveriesPage{
		Filter: typed, Within: withins(), All: typed.Within == "all", Filtered: typed != deliveryFilter{}, States: deliveryStates(),
	}
	filter, err := typed.read(ctx, v.db, c.cfg.Now())
	if err != nil {
		p.Advice, err = adviceFor(err)
		return p, err
	}
	if err := v.cursor(&filter.Before); err != nil {
		return nil, err
	}
	filter.Limit = deliveriesShown + 1
	patience := searchTime
	if filter.State == "" && filter.EventType == "" && filter.OrganizationID == "" && filter.UserID == "" {
		patience = 0 // the newest ones are found at once
	}
	rows, back, err := store.SearchLedger(ctx, v.db, filter, patience)
	if err != nil {
		return nil, err
	}
	p.Back, p.Pager = back, v.following(nil)
	if len(rows) > deliveriesShown {
		rows = rows[:deliveriesShown]
		p.Pager = v.following(rows[len(rows)-1].Position())
	} else if !back.IsZero() {
		p.Pager = v.following(store.LedgerPosition{ReceivedAt: back})
	}
	if p.Rows, err = listDeliveries(ctx, v.db, rows); err != nil {
		return nil, err
	}
	_, p.Quarantined, err = store.LedgerCounts(ctx, v.db)
	p.CanReplay = v.operator != ""
	return p, err
}

// listDeliveries finds the names of the deliveries' workspaces.
func listDeliveries(ctx context.Context, db store.DBTX, rows []store.LedgerRow) ([]listedDelivery, error) {
	var ids []string
	for _, r := range rows {
		if r.OrganizationID != "" {
			ids = append(ids, r.OrganizationID)
		}
	}
	names, err := store.NamesOf(ctx, db, ids)
	if err != nil {
		return nil, err
	}
	listed := make([]listedDelivery, len(rows))
	for i, r := range rows {
		listed[i] = listedDelivery{LedgerRow: r, Workspace: names[r.OrganizationID]}
	}
	return listed, nil
}
