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

	EndedSessions []clerksync.EndedSession

	Recorded string // the command whose outcome this is; "" for none

	// Commit lets [Finish] commit the transaction in the round trip of its last statements. The
	// caller's own commit then has nothing left to do. Postgres skips the commit if a statement
	// fails. A check in Go, such as of the number of rows, belongs into [Save]: here it would
	// come too late.
	Commit bool
}

// Write saves what changed since [LockMirror], and finishes the transaction's work.
func Write(ctx context.Context, db DBTX, locked Locked, w Writes, now time.Time) error {
	saved, err := Save(ctx, db, locked, w)
	if err != nil {
		return err
	}
	return Finish(ctx, db, w, saved, now)
}

// Saved is what [Save] found out.
type Saved struct {
	open []clerksync.OpenCommand // that may have made the changes
}

// Save writes the objects that changed since [LockMirror]: over the rows that it locked, and into
// new rows for the others. It never overwrites another writer's row: if one is in the way, the
// error is [ErrRaced].
func Save(ctx context.Context, db DBTX, locked Locked, w Writes) (saved Saved, err error) {
	var p pipeline
	endSessions(&p, w.EndedSessions)
	if err := saveMirror(&p, locked, w.Changed); err != nil {
		return saved, err
	}
	findOpen(&p, w, &saved.open)
	if err := p.run(ctx, db); err != nil {
		return saved, fmt.Errorf("save mirror: %w", err)
	}
	return saved, nil
}

// Finish writes the rest of a transaction after [Save]: the counters of changes, the audit log with
// the actors of the commands that made the changes, and the states of the deliveries. It counts one
// change for each organization that a changed object concerns; a user concerns every organization
// that the user is or was in. Finish belongs at the end of the transaction, because every change of
// an organization waits for its counter, and every entry for the one before it.
func Finish(ctx context.Context, db DBTX, w Writes, saved Saved, now time.Time) error {
	var p pipeline
	entries := w.Entries
	if len(saved.open) > 0 {
		attributed, attributions := clerksync.Attribute(entries, saved.open)
		markAudited(&p, attributions)
		entries = attributed
	}
	if organizations, users := concerned(w.Changed); len(organizations)+len(users) > 0 {
		p.exec(dbsqlc.CountChanges, nil, organizations, users)
	}
	if err := appendEntries(&p, entries); err != nil {
		return err
	}
	endDeliveries(&p, w.Deliveries, now)
	if w.Commit {
		p.exec("COMMIT", nil)
	}
	if err := p.run(ctx, db); err != nil {
		return fmt.Errorf("finish deliveries: %w", err)
	}
	return nil
}

// endDeliveries adds the statement that records in which state each delivery ended.
func endDeliveries(p *pipeline, deliveries []clerksync.Delivery, now time.Time) {
	if len(deliveries) == 0 {
		return
	}
	var ended dbsqlc.EndDeliveriesParams
	for _, d := range deliveries {
		ended.SvixIds = append(ended.SvixIds, d.ID)
		ended.States = append(ended.States, string(d.State))
		ended.LastErrors = append(ended.LastErrors, d.Reason)
	}
	p.exec(dbsqlc.EndDeliveries, nil, now, ended.SvixIds, ended.States, ended.LastErrors)
}

// appendEntries adds the statement that appends entries, in the order of organizations. Each entry
// waits for its organization's chain (migration 00005), so all writers to several organizations
// must wait in one order.
func appendEntries(p *pipeline, entries []clerksync.AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	sorted := slices.SortedStableFunc(slices.Values(entries), func(a, b clerksync.AuditEntry) int {
		return strings.Compare(a.OrganizationID, b.OrganizationID)
	})
	var log dbsqlc.AppendEntriesParams
	for _, e := range sorted {
		before, err := detailsJSON(e.Before)
		if err != nil {
			return err
		}
		after, err := detailsJSON(e.After)
		if err != nil {
			return err
		}
		log.OrganizationIds = append(log.OrganizationIds, e.OrganizationID)
		log.Actors = append(log.Actors, e.Actor)
		log.Actions = append(log.Actions, string(e.Action))
		log.Targets = append(log.Targets, e.Target)
		log.Befores = append(log.Befores, before)
		log.Afters = append(log.Afters, after)
		log.At = append(log.At, time.UnixMilli(e.At))
		log.Causes = append(log.Causes, e.Cause)
		log.Impersonators = append(log.Impersonators, e.Impersonator)
		log.Restates = append(log.Restates, e.Action.Restates())
	}
	p.exec(dbsqlc.AppendEntries, nil, log.OrganizationIds, log.Actors, log.Actions, log.Targets, log.Befores, log.Afters, log.At, log.Causes,
		log.Impersonators, log.Restates)
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

// concerned returns the organizations that changed objects concern, and the users whose
// organizations they concern.
func concerned(changed clerksync.Mirror) (organizationIDs, userIDs []string) {
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
	return ids(organizations), ids(changed.Users)
}
