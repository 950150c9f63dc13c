package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// AuditQuery selects entries of one organization's audit log, or of all for [AllAuditEntries]. Zero
// values select all.
type AuditQuery struct {
	OrganizationID        string
	Actor, Action, Target string
	Since, Until          time.Time     // when it happened: from Since on, before Until
	Before                AuditPosition // only entries that are listed after this one
	Through               int64         // only entries up to this number; later ones are left out
}

// AuditPosition is an entry's place in the list.
type AuditPosition struct {
	At  time.Time
	Seq int64
}

// endOfTime is later than any entry, because Rolecall records no time that JSON can't write.
func endOfTime() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }

// fromTheNewest returns the query with ends that leave nothing out where it has none.
func (q AuditQuery) fromTheNewest() AuditQuery {
	if q.Until.IsZero() {
		q.Until = endOfTime()
	}
	if q.Before == (AuditPosition{}) {
		q.Before = AuditPosition{At: endOfTime(), Seq: math.MaxInt64}
	}
	return q
}

// AuditEntries lists at most limit entries, the newest first: by when they happened, then by when
// they were recorded.
func AuditEntries(ctx context.Context, db DBTX, q AuditQuery, limit int) ([]clerksync.LoggedEntry, error) {
	q = q.fromTheNewest()
	if q.Through == 0 {
		q.Through = math.MaxInt64
	}
	rows, err := auditRows(ctx, db, q, pageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("list audit entries: %w", err)
	}
	return loggedEntries(rows), nil
}

// AllAuditEntries lists at most limit entries of all organizations, the newest first: by when they
// were recorded. Of the query's fields, neither OrganizationID, Before nor Through counts. beforeID
// is the id after which the page begins; 0 for the first page.
func AllAuditEntries(ctx context.Context, db DBTX, q AuditQuery, beforeID int64, limit int) ([]clerksync.LoggedEntry, error) {
	if q.Until.IsZero() {
		q.Until = endOfTime()
	}
	if beforeID == 0 {
		beforeID = math.MaxInt64
	}
	rows, err := queries().AuditPageOfAll(ctx, db, dbsqlc.AuditPageOfAllParams{
		BeforeID: beforeID, Since: q.Since, Until: q.Until, Actor: q.Actor, Action: q.Action, Target: q.Target, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list audit entries of all organizations: %w", err)
	}
	return loggedEntries(rows), nil
}

// auditRows runs the query for the filter that selects the fewest entries: it uses that filter's
// index.
func auditRows(ctx context.Context, db DBTX, q AuditQuery, limit int32) ([]dbsqlc.RolecallAuditLog, error) {
	switch {
	case q.Target != "":
		return queries().AuditPageOfTarget(ctx, db, dbsqlc.AuditPageOfTargetParams{
			OrganizationID: q.OrganizationID, Target: q.Target, Actor: q.Actor, Action: q.Action, Through: q.Through,
			Since: q.Since, Until: q.Until, BeforeAt: q.Before.At, BeforeSeq: q.Before.Seq, PageSize: limit,
		})
	case q.Actor != "":
		return queries().AuditPageOfActor(ctx, db, dbsqlc.AuditPageOfActorParams{
			OrganizationID: q.OrganizationID, Actor: &q.Actor, Action: q.Action, Through: q.Through,
			Since: q.Since, Until: q.Until, BeforeAt: q.Before.At, BeforeSeq: q.Before.Seq, PageSize: limit,
		})
	case q.Action != "":
		return queries().AuditPageOfAction(ctx, db, dbsqlc.AuditPageOfActionParams{
			OrganizationID: q.OrganizationID, Action: q.Action, Through: q.Through,
			Since: q.Since, Until: q.Until, BeforeAt: q.Before.At, BeforeSeq: q.Before.Seq, PageSize: limit,
		})
	default:
		return queries().AuditPage(ctx, db, dbsqlc.AuditPageParams{
			OrganizationID: q.OrganizationID, Through: q.Through,
			Since: q.Since, Until: q.Until, BeforeAt: q.Before.At, BeforeSeq: q.Before.Seq, PageSize: limit,
		})
	}
}

func loggedEntries(rows []dbsqlc.RolecallAuditLog) []clerksync.LoggedEntry {
	entries := make([]clerksync.LoggedEntry, len(rows))
	for i, r := range rows {
		entries[i] = loggedEntry(r)
	}
	return entries
}

func loggedEntry(r dbsqlc.RolecallAuditLog) clerksync.LoggedEntry {
	return clerksync.LoggedEntry{
		ID: r.ID, Seq: r.Seq, OrganizationID: r.OrganizationID, Actor: r.Actor, Impersonator: r.Impersonator, Action: clerksync.Action(r.Action), Target: r.Target,
		Before: r.Before, After: r.After, Data: r.Data, At: r.At, Cause: r.Cause, PrevHash: r.PrevHash, Hash: r.Hash,
		ErasedBy: erasedBy(r.ErasedBy),
	}
}

// Event is an entry that a service appends to an organization's audit log.
type Event struct {
	OrganizationID string
	Actor          string // user_… or service:NAME
	Impersonator   string // who acted as the actor; "" if the actor acted
	Action, Target string
	Data           json.RawMessage // an object, or nil
	At             time.Time       // zero: now
	Cause          string          // service:NAME of the sender
}

// AppendEvent appends an event, in one statement, and returns the entry. If the key was used
// before, it appends nothing and returns the earlier entry; repeated is true. If another request
// used it, the error is [clerksync.ErrKeyReused]. Keys are kept as long as the log. An earlier
// entry is returned once the synchronous standby has it.
func AppendEvent(ctx context.Context, db DBTX, e Event, key CommandKey) (entry clerksync.LoggedEntry, repeated bool, err error) {
	p := dbsqlc.AppendEventParams{
		OrganizationID: e.OrganizationID, Actor: &e.Actor, Action: e.Action, Target: e.Target, Data: e.Data,
		Cause: e.Cause, Key: key.Digest, Request: key.Request,
	}
	if e.Impersonator != "" {
		p.Impersonator = &e.Impersonator
	}
	if !e.At.IsZero() {
		p.At = new(e.At.Truncate(time.Microsecond)) // Postgres would round
	}
	rows, err := queries().AppendEvent(ctx, db, p)
	if err != nil {
		return entry, false, fmt.Errorf("append event: %w", err)
	}
	if len(rows) == 1 {
		return loggedEntry(rows[0]), false, nil
	}
	earlier, err := queries().EventOfKey(ctx, db, key.Digest)
	if err != nil {
		return entry, false, fmt.Errorf("find event of key: %w", err)
	}
	if !bytes.Equal(earlier.Request, key.Request) {
		return entry, false, clerksync.ErrKeyReused
	}
	return loggedEntry(earlier.RolecallAuditLog), true, nil
}

// LastAuditSeq returns the number of the newest entry of an organization; 0 if there is none.
func LastAuditSeq(ctx context.Context, db DBTX, organizationID string) (int64, error) {
	head, err := queries().ChainHead(ctx, db, organizationID)
	return head.Seq, atMostOneRow(err, "read head of audit log")
}
