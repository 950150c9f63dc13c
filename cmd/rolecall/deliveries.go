package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type deliveriesCommand struct {
	List   listDeliveries   `cmd:"" help:"List deliveries, the newest first."`
	Show   showDelivery     `cmd:"" help:"Show one delivery with its body, secrets redacted."`
	Replay replayDeliveries `cmd:"" help:"Read deliveries again and apply them: by id, or all that the filters select."`
}

// filters select deliveries.
type filters struct {
	State        stateName `help:"Only in this state: received, applied, superseded, ignored or quarantined."`
	Type         string    `help:"Only of this event type, such as organization.created."`
	Organization string    `help:"Only about this organization (org_…)."`
	Since        string    `help:"Only received since an instant (RFC 3339), or within a duration (90m, 24h)."`
	Until        string    `help:"Only received before an instant (RFC 3339), or longer ago than a duration."`
}

// stateName is a state of the ledger on the command line; empty for none.
type stateName string

// Validate refuses unknown states. The parser's own list of choices would have to include the empty
// one.
func (s stateName) Validate() error {
	switch clerksync.State(s) {
	case clerksync.StateReceived, clerksync.StateApplied, clerksync.StateSuperseded, clerksync.StateIgnored, clerksync.StateQuarantined:
		return nil
	}
	return errors.New("must be one of received, applied, superseded, ignored or quarantined")
}

func (f filters) given() bool {
	return f.State != "" || f.Type != "" || f.Organization != "" || f.Since != "" || f.Until != ""
}

func (f filters) filter(now time.Time) (store.Filter, error) {
	since, err := moment(f.Since, now)
	if err != nil {
		return store.Filter{}, fmt.Errorf("--since: %w", err)
	}
	until, err := moment(f.Until, now)
	if err != nil {
		return store.Filter{}, fmt.Errorf("--until: %w", err)
	}
	return store.Filter{
		State: clerksync.State(f.State), EventType: clerksync.EventType(f.Type), OrganizationID: f.Organization,
		Since: since, Until: until,
	}, nil
}

// moment reads an instant or an age; zero for none.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(s); err == nil {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither an instant (2026-01-02T15:04:05Z) nor a duration (90m)", s)
	}
	return at, nil
}

type listDeliveries struct {
	filters

	Limit int `default:"50" help:"List at most this many, the newest."`

	JSON bool `name:"json" help:"Print a JSON list."`
}

func (c *listDeliveries) run(ctx context.Context, io streams) error {
	filter, err := c.filter(time.Now())
	if err != nil {
		return err
	}
	filter.Limit = c.Limit
	if filter.Limit < 1 {
		return errors.New("--limit must be positive")
	}
	return withDatabase(ctx, func(_ config.Config, db database.DB) error {
		entries, err := store.LedgerRows(ctx, db, filter)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(io.out, entries)
		}
		table := newTable(io.out)
		table.row("RECEIVED", "STATE", "TYPE", "ORGANIZATION", "SVIX ID", "ERROR")
		for _, e := range entries {
			table.row(e.ReceivedAt.Format(time.RFC3339), string(e.State), string(e.EventType), e.OrganizationID, e.SvixID, oneLine(e.LastError))
		}
		return table.print("deliveries")
	})
}

// oneLine makes an error fit into a table.
func oneLine(s string) string {
	const longest = 80
	for i, r := range s {
		if r == '\n' || i >= longest {
			return s[:i] + "…"
		}
	}
	return s
}

type showDelivery struct {
	ID   string `arg:"" help:"The svix-id (msg_…)."`
	JSON bool   `name:"json" help:"Print a JSON object."`
}

func (c *showDelivery) run(ctx context.Context, io streams) error {
	return withDatabase(ctx, func(_ config.Config, db database.DB) error {
		e, err := store.FindLedgerRow(ctx, db, c.ID)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("no delivery %s is in the ledger", c.ID)
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(io.out, e)
		}
		replayed := "never"
		if e.ReplayedAt != nil {
			replayed = e.ReplayedAt.Format(time.RFC3339Nano)
		}
		table := newTable(io.out)
		for _, row := range [][2]string{
			{"svix id", e.SvixID},
			{"event type", string(e.EventType)},
			{"object", e.ObjectID},
			{"organization", e.OrganizationID},
			{"instance", e.InstanceID},
			{"occurred at", e.OccurredAt.Format(time.RFC3339Nano)},
			{"received at", e.ReceivedAt.Format(time.RFC3339Nano)},
			{"replayed at", replayed},
			{"state", string(e.State)},
			{"failed attempts", strconv.Itoa(e.Attempts)},
			{"last error", e.LastError},
			{"SHA-256 of the body", e.BodySHA256},
		} {
			table.row(row[0], row[1])
		}
		if err := table.print("delivery"); err != nil {
			return err
		}
		body := "(the ledger doesn't have its body)"
		if e.Body != nil {
			body = *e.Body
		}
		_, err = fmt.Fprintf(io.out, "\n%s\n", body)
		return err
	})
}

type replayDeliveries struct {
	filters

	IDs  []string `arg:"" optional:"" name:"svix-id" help:"The svix-ids (msg_…)."`
	JSON bool     `name:"json" help:"Print a JSON list."`
}

func (c *replayDeliveries) run(ctx context.Context, io streams) error {
	if len(c.IDs) > 0 == c.given() {
		return errors.New("say which deliveries to replay: by their svix-ids, or by filters such as --state quarantined")
	}
	filter, err := c.filter(time.Now())
	if err != nil {
		return err
	}
	filter.Limit = math.MaxInt32 // all that match: a limit would skip some silently
	return withDatabase(ctx, func(cfg config.Config, db database.DB) error {
		ids := c.IDs
		if len(ids) == 0 {
			entries, err := store.LedgerRows(ctx, db, filter)
			if err != nil {
				return err
			}
			for _, e := range entries {
				ids = append(ids, e.SvixID)
			}
		}
		instance, err := database.Instance(ctx, cfg, db)
		if err != nil {
			return err
		}
		results, err := jobs.Replay(ctx, db.Pool, instance, ids)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(io.out, results)
		}
		return printReplayed(io.out, results)
	})
}

// printReplayed prints the result for each delivery. It fails if any was not replayed.
func printReplayed(out io.Writer, results []jobs.Replayed) error {
	if len(results) == 0 {
		return errors.New("no delivery matches")
	}
	refused := 0
	for _, r := range results {
		if r.Enqueued {
			fmt.Fprintln(out, line(r.SvixID), "enqueued")
		} else {
			refused++
			fmt.Fprintln(out, line(r.SvixID), "not replayed:", line(r.Why))
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d deliveries were not replayed", refused, len(results))
	}
	return nil
}
