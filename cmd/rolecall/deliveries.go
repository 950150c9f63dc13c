package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type deliveriesCommand struct {
	List   listDeliveries   `cmd:"" help:"List deliveries, the newest first."`
	Show   showDelivery     `cmd:"" help:"Show one delivery with its body, secrets redacted."`
	Replay replayDeliveries `cmd:"" help:"Decode and apply deliveries again: those with the given svix-ids, or all that the filters select."`
}

// filters select deliveries.
type filters struct {
	State        stateName `placeholder:"STATE" help:"Only in this state: received, applied, superseded, ignored or quarantined."`
	Type         string    `placeholder:"TYPE" help:"Only of this event type, such as organization.created."`
	Organization string    `aliases:"workspace" placeholder:"WORKSPACE" help:"Only about this workspace: its id, slug or name."`
	User         string    `placeholder:"USER" help:"Only about this user, by id, e-mail address or name: the account, memberships, sessions, invitations."`
	Since        moment    `placeholder:"TIME" help:"Only received since then: an age (90m, 7d, 2w), a date or an instant (RFC 3339)."`
	Until        moment    `placeholder:"TIME" help:"Only received before then."`
}

// stateName is a state of the ledger on the command line; empty for none.
type stateName string

// choices returns the states.
func (stateName) choices() []string {
	return []string{
		string(clerksync.StateReceived), string(clerksync.StateApplied), string(clerksync.StateSuperseded),
		string(clerksync.StateIgnored), string(clerksync.StateQuarantined),
	}
}

// Validate refuses unknown states. The parser's own list of choices would have to include the empty
// one.
func (s stateName) Validate() error {
	if slices.Contains(s.choices(), string(s)) {
		return nil
	}
	return errors.New("must be one of received, applied, superseded, ignored or quarantined")
}

func (f filters) given() bool { return f != filters{} }

// filter returns the filter, with the ids of those whom it names.
func (f filters) filter(ctx context.Context, db store.DBTX) (to store.Filter, err error) {
	to = store.Filter{State: clerksync.State(f.State), EventType: clerksync.EventType(f.Type), Since: f.Since.Time, Until: f.Until.Time}
	if to.OrganizationID, err = support.WorkspaceID(ctx, db, f.Organization); err != nil {
		return to, err
	}
	to.UserID, err = support.UserID(ctx, db, f.User)
	return to, err
}

type listDeliveries struct {
	filters
	paging
	listFormat

	Follow bool `xor:"all,after" help:"Then print each delivery when it arrives, and again when its state changes, until Ctrl-C."`
}

// deliveryColumns are the columns of a list of deliveries.
// The table of one workspace's deliveries leaves the workspace out.
func deliveryColumns(ofOneWorkspace bool) list[store.LedgerRow] {
	workspace := whole
	if ofOneWorkspace {
		workspace = onlyData
	}
	return list[store.LedgerRow]{name: "deliveries", columns: []column[store.LedgerRow]{
		instantColumn("received_at", whole, func(r store.LedgerRow) *time.Time { return &r.ReceivedAt }),
		{name: "state", cell: func(r store.LedgerRow) string { return string(r.State) }},
		{name: "event_type", cell: func(r store.LedgerRow) string { return string(r.EventType) }},
		{name: "svix_id", cell: func(r store.LedgerRow) string { return r.SvixID }},
		{name: "organization_id", title: "workspace id", kind: workspace, cell: func(r store.LedgerRow) string { return r.OrganizationID }},
		{name: "object_id", kind: onlyData, cell: func(r store.LedgerRow) string { return r.ObjectID }},
		{name: "instance_id", kind: onlyData, cell: func(r store.LedgerRow) string { return r.InstanceID }},
		instantColumn("occurred_at", onlyData, func(r store.LedgerRow) *time.Time { return &r.OccurredAt }),
		instantColumn("applied_at", onlyData, func(r store.LedgerRow) *time.Time { return r.AppliedAt }),
		instantColumn("replayed_at", onlyData, func(r store.LedgerRow) *time.Time { return r.ReplayedAt }),
		{name: "attempts", kind: onlyData, cell: func(r store.LedgerRow) string { return strconv.Itoa(r.Attempts) }},
		{
			name: "last_error", kind: text, cell: func(r store.LedgerRow) string { return r.LastError },
			shown: func(r store.LedgerRow) string { return support.Failure(r.LastError) },
		},
		{name: "body_sha256", kind: onlyData, cell: func(r store.LedgerRow) string { return r.BodySHA256 }},
	}}
}

func (c *listDeliveries) run(ctx context.Context, to streams) error {
	if c.Follow && !c.Until.IsZero() {
		return usageError("--until: with --follow there is no end: leave one of them out")
	}
	return asFollowed(c.Follow, withDatabase(ctx, func(_ config.Config, db database.DB) error {
		filter, err := c.filter(ctx, db)
		if err != nil {
			return err
		}
		pages := deliveryColumns(filter.OrganizationID != "").pages(to.out, c.listFormat)
		if c.Follow {
			return c.follow(ctx, db, filter, pages, to.err)
		}
		return listAll(to, pages, c.paging, searchLedger(ctx, db, filter, c.patience(), to.err))
	}))
}

// ledgerPatience is how long the ledger is searched at most, unless the flags say how far back.
const ledgerPatience = 5 * time.Second

// patience returns how long a search may take; 0 for as long as it takes.
func (c *listDeliveries) patience() time.Duration {
	if c.All || !c.Since.IsZero() {
		return 0
	}
	return ledgerPatience
}

// searchLedger returns a reader of the deliveries that a filter selects. If a page takes longer
// than patience, it ends there; the reader says so, and the next page continues.
func searchLedger(ctx context.Context, db store.DBTX, filter store.Filter, patience time.Duration, notes io.Writer) pageReader[store.LedgerRow] {
	return func(after cursor, limit int) ([]store.LedgerRow, cursor, error) {
		filter.Before, filter.Limit = store.LedgerPosition{ReceivedAt: after.at, SvixID: after.text}, limit+1
		rows, back, err := store.SearchLedger(ctx, db, filter, patience)
		switch {
		case err != nil:
			return nil, cursor{}, err
		case len(rows) > limit:
			last := rows[limit-1]
			return rows[:limit], cursor{at: last.ReceivedAt, text: last.SvixID}, nil
		case back.IsZero():
			return rows, cursor{}, nil
		}
		return rows, cursor{at: back}, saySearched(notes, back)
	}
}

// saySearched says how far back the ledger was searched.
func saySearched(notes io.Writer, back time.Time) error {
	_, err := fmt.Fprintf(notes, "Searched back to %s only. Give --since to search further, as long as it takes.\n", back.UTC().Format(time.RFC3339))
	return err
}

// follow prints the newest deliveries, the oldest of them first, and then those that arrive.
func (c *listDeliveries) follow(ctx context.Context, db database.DB, filter store.Filter, pages *listPages[store.LedgerRow], notes io.Writer) error {
	pages.lines, filter.Limit = true, int(c.Limit)
	follower := store.FollowLedger(filter)
	return follow(ctx, db, func(tx store.DBTX) error {
		rows, err := follower.Next(ctx, tx)
		if err == nil && !pages.begun {
			var back time.Time
			rows, back, err = store.SearchLedger(ctx, tx, filter, c.patience())
			slices.Reverse(rows)
			if err == nil && !back.IsZero() {
				err = saySearched(notes, back)
			}
		}
		if err != nil {
			return err
		}
		return pages.add(rows)
	})
}

type showDelivery struct {
	ID   string `arg:"" help:"The svix-id (msg_…)."`
	JSON bool   `name:"json" help:"Print a JSON object."`
}

func (c *showDelivery) run(ctx context.Context, io streams) error {
	return withDatabase(ctx, func(_ config.Config, db database.DB) error {
		e, err := store.FindLedgerRow(ctx, db, c.ID)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("no delivery %s is in the ledger: it never came, or it was pruned after ROLECALL_LEDGER_RETENTION", c.ID)
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(io.out, e)
		}
		if err := printDelivery(ctx, db, io.out, e); err != nil {
			return err
		}
		body := "(the ledger doesn't have its body)"
		if e.Body != nil {
			body = indented(*e.Body)
		}
		_, err = fmt.Fprintf(io.out, "\n%s\n", body)
		return err
	})
}

// printDelivery prints what the ledger has of a delivery, but for its body. What is empty is left
// out.
func printDelivery(ctx context.Context, db store.DBTX, out io.Writer, e store.LedgerRow) error {
	names, err := store.NamesOf(ctx, db, []string{e.OrganizationID})
	if err != nil {
		return err
	}
	instant := func(at *time.Time) string {
		if at == nil {
			return ""
		}
		return at.UTC().Format(time.RFC3339Nano)
	}
	table := newTable(out)
	for _, row := range [][2]string{
		{"svix id", e.SvixID},
		{"event type", string(e.EventType)},
		{"object", e.ObjectID},
		{"workspace", strings.TrimSpace(e.OrganizationID + "  " + names[e.OrganizationID])},
		{"instance", e.InstanceID},
		{"occurred at", instant(&e.OccurredAt)},
		{"received at", instant(&e.ReceivedAt)},
		{"replayed at", instant(e.ReplayedAt)},
		{"state", string(e.State)},
		{"applied at", instant(e.AppliedAt)},
		{"failed attempts", strconv.Itoa(e.Attempts)},
		{"last error", support.Failure(e.LastError)},
		{"body's SHA-256", e.BodySHA256},
	} {
		if row[1] != "" {
			table.row(row[0], row[1])
		}
	}
	return table.print("delivery")
}

// indented breaks a body into lines, and returns one that is no JSON as it is.
func indented(body string) string {
	var lines bytes.Buffer
	if json.Indent(&lines, []byte(body), "", "  ") != nil {
		return body
	}
	return lines.String()
}
