package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Writes is what the end of a transaction writes: states of deliveries, audit entries, and counters
// of changes.
type Writes struct {
	Deliveries []clerksync.Delivery // with the State that each ended in, and the Reason of those that are quarantined
	Entries    []clerksync.AuditEntry
	Changed    clerksync.Mirror

	Recorded string // the command whose outcome this is; "" for none
}

// Finish writes the result of applying deliveries into the ledger and the audit log. It counts one
// change for each organization that a changed object concerns; a user concerns every organization
// that the user is or was in. Finish belongs at the end of the transaction, because every change of
// an organization waits for its counter.
func Finish(ctx context.Context, db DBTX, w Writes, now time.Time) error {
	p := dbsqlc.FinishParams{AppliedAt: now}
	for _, d := range w.Deliveries {
		p.SvixIds = append(p.SvixIds, d.ID)
		p.States = append(p.States, string(d.State))
		p.LastErrors = append(p.LastErrors, d.Reason)
	}
	entries, err := attribute(ctx, db, w)
	if err != nil {
		return err
	}
	if err := addEntries(&p, entries); err != nil {
		return err
	}
	addChanges(&p, w.Changed)
	if err := queries().Finish(ctx, db, p); err != nil {
		return fmt.Errorf("finish deliveries: %w", err)
	}
	return nil
}

// addEntries adds entries in the order of organizations. Each entry waits for its organization's
// chain (migration 00005), so all writers to several organizations must wait in one order.
func addEntries(p *dbsqlc.FinishParams, entries []clerksync.AuditEntry) error {
	sorted := slices.SortedStableFunc(slices.Values(entries), func(a, b clerksync.AuditEntry) int {
		return strings.Compare(a.OrganizationID, b.OrganizationID)
	})
	for _, e := range sorted {
		before, err := detailsJSON(e.Before)
		if err != nil {
			return err
		}
		after, err := detailsJSON(e.After)
		if err != nil {
			return err
		}
		p.AuditOrganizationIds = append(p.AuditOrganizationIds, e.OrganizationID)
		p.Actors = append(p.Actors, e.Actor)
		p.Actions = append(p.Actions, string(e.Action))
		p.Targets = append(p.Targets, e.Target)
		p.Befores = append(p.Befores, before)
		p.Afters = append(p.Afters, after)
		p.At = append(p.At, time.UnixMilli(e.At))
		p.Causes = append(p.Causes, e.Cause)
	}
	return nil
}

// detailsJSON writes details as JSON; "" for none.
func detailsJSON(d clerksync.Details) (string, error) {
	if d == nil {
		return "", nil
	}
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("write audit details: %w", err)
	}
	return string(text), nil
}

// allOrganizations stands for every organization. A change that concerns all of them is counted
// once under this id, and not for each organization. A revision is the sum of both counts.
const allOrganizations = ""

func addChanges(p *dbsqlc.FinishParams, changed clerksync.Mirror) {
	organizations := map[string]struct{}{}
	for id := range changed.Organizations {
		organizations[id] = struct{}{}
	}
	for _, m := range changed.Memberships {
		organizations[m.OrganizationID] = struct{}{}
	}
	for _, i := range changed.Invitations {
		organizations[i.OrganizationID] = struct{}{}
	}
	for _, d := range changed.Domains {
		organizations[d.OrganizationID] = struct{}{}
	}
	if len(changed.Roles) > 0 || len(changed.Permissions) > 0 {
		organizations[allOrganizations] = struct{}{}
	}
	p.OrganizationIds = ids(organizations)
	p.UserIds = ids(changed.Users)
}
