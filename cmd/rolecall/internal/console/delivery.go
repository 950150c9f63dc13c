package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// deliveryPage is the data of the template "delivery".
type deliveryPage struct {
	listedDelivery

	Outcome string // how it ended, in sentences
	Advice  string // what to do; "" for nothing
	Newest  newest // of a superseded one
	User    named  // that it is about; zero if it is about none
	Lag     time.Duration
	Changes entries
	Jobs    []store.JobOfDelivery
	Text    string // of the body, made readable
	Cut     bool   // the body is longer
	CanPost bool   // an operator is signed in
}

// newest says where the newest state came from that the mirror has of a delivery's object. It is
// zero if that isn't known.
type newest struct {
	Writer cause
	Itself bool // the delivery was applied before
	At     time.Time
}

// shownBody bounds the body on the page, in bytes.
const shownBody = 64 << 10

// delivery loads the page of one delivery.
func (c *Console) delivery(ctx context.Context, v *visit) (any, error) {
	row, err := store.FindLedgerRow(ctx, v.db, v.PathValue("id"))
	if errors.Is(err, store.ErrNotFound) {
		return nil, missing("The ledger doesn't have this delivery",
			"It never came, or it was pruned after `ROLECALL_LEDGER_RETENTION`. What it changed is still in the audit log.")
	}
	if err != nil {
		return nil, err
	}
	v.title = "Delivery " + string(row.EventType)
	listed, err := listDeliveries(ctx, v.db, []store.LedgerRow{row})
	if err != nil {
		return nil, err
	}
	p := deliveryPage{listedDelivery: listed[0], Lag: max(0, row.ReceivedAt.Sub(row.OccurredAt)), CanPost: v.operator != ""}
	p.Outcome, p.Advice = outcomeOf(row)
	p.Text, p.Cut = readable(row.Body)
	userID := support.UserOfDelivery(row)
	logged, err := store.EntriesOfDelivery(ctx, v.db, row, []string{row.ObjectID, userID})
	if err != nil {
		return nil, err
	}
	p.Changes.OfCause = true
	if p.Changes.List, err = entriesOf(ctx, v.db, logged); err != nil {
		return nil, err
	}
	if row.State == clerksync.StateSuperseded {
		from, err := store.LastWriter(ctx, v.db, row.ObjectID)
		if err != nil {
			return nil, err
		}
		p.Newest = newest{causeOf(from.Cause, row.OrganizationID, row.ObjectID), from.Cause == row.SvixID, from.Since}
	}
	if userID != "" {
		names, err := store.NamesOf(ctx, v.db, []string{userID})
		if err != nil {
			return nil, err
		}
		p.User = namedOf(userID, names[userID])
	}
	p.Jobs, err = jobs.OfDelivery(ctx, v.db, row.SvixID)
	return p, err
}

// outcomeOf says in words how a delivery ended, and what to do.
func outcomeOf(r store.LedgerRow) (outcome, advice string) {
	switch r.State {
	case clerksync.StateReceived:
		outcome = "It waits to be applied."
		if r.Attempts > 0 {
			outcome = fmt.Sprintf("It waits to be applied again, after %s. The last failure: %s.",
				counted(r.Attempts, "failed attempt", "failed attempts"), strings.TrimSuffix(support.Failure(r.LastError), "."))
		}
		return outcome, ""
	case clerksync.StateApplied:
		return "It changed the mirror.", ""
	case clerksync.StateSuperseded:
		return "It changed nothing: when it was applied, the mirror already had all that it says, or something newer. " +
			"That is usual for deliveries that come late, come after a sweep, or are replayed.", ""
	case clerksync.StateIgnored:
		return "Rolecall doesn't need events of this type. A newer version may: replay it after an upgrade.", ""
	case clerksync.StateQuarantined:
		return explainQuarantine(r)
	default:
		return string(r.State), ""
	}
}

// explainQuarantine says why a delivery is quarantined, and what to do. The reasons are those of
// packages sync and jobs.
func explainQuarantine(r store.LedgerRow) (why, advice string) {
	switch {
	case strings.HasPrefix(r.LastError, "delivery of another Clerk instance"):
		return "It belongs to another Clerk instance: " + r.InstanceID + ".",
			"If it is an example that Clerk's dashboard sent, leave it. If this instance is yours, correct CLERK_INSTANCE_ID or DATABASE_URL, and replay it."
	case strings.HasPrefix(r.LastError, clerksync.ErrUndecodable.Error()):
		return "It can't be read: " + strings.TrimPrefix(support.Failure(r.LastError), clerksync.ErrUndecodable.Error()+": ") + ".",
			"Upgrade Rolecall and replay it. If the newest version can't read it either, report it."
	default:
		return "Applying it failed: " + strings.TrimSuffix(support.Failure(r.LastError), ".") + ".", "Correct the cause, and replay it."
	}
}

// readable returns a body with line breaks, as long as the page shows.
func readable(body *string) (text string, cut bool) {
	if body == nil {
		return "", false
	}
	var indented bytes.Buffer
	if json.Indent(&indented, []byte(*body), "", "  ") != nil {
		indented.Reset()
		indented.WriteString(*body)
	}
	text = indented.String()
	if len(text) > shownBody {
		return strings.ToValidUTF8(text[:shownBody], ""), true
	}
	return text, false
}
