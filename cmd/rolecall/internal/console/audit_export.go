package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/internal/spreadsheet"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func (c *Console) auditDownloads() []download {
	named := func(name string) func(*visit) string { return func(*visit) string { return name } }
	return []download{
		{path: "/audit/export.csv", contentType: "text/csv; charset=utf-8", name: named("audit.csv"), write: c.exportAudit(writeAuditCSV)},
		{path: "/audit/export.jsonl", contentType: "application/jsonl", name: named("audit.jsonl"), write: c.exportAudit(writeAuditJSON)},
		{path: "/audit/access-review.csv", contentType: "text/csv; charset=utf-8", name: c.reviewName, write: c.exportReview},
	}
}

// exportBatch is how many entries are read and written at a time.
const exportBatch = 500

// exportedEntry is an entry as a file has it.
type exportedEntry struct {
	WorkspaceID  string          `json:"workspace_id"` // "" for the instance
	ID           int64           `json:"id"`
	At           time.Time       `json:"at"`
	Actor        *string         `json:"actor"` // null: Clerk doesn't say
	Impersonator *string         `json:"impersonator"`
	Action       string          `json:"action"`
	Target       string          `json:"target"`
	Before       json.RawMessage `json:"before"`
	After        json.RawMessage `json:"after"`
	Data         json.RawMessage `json:"data"`
	Erased       bool            `json:"erased,omitempty"` // something about a person was erased from it
	Cause        string          `json:"cause"`
	ClientIP     string          `json:"client_ip"` // of the request at Clerk; "" if it isn't known
	UserAgent    string          `json:"user_agent"`
}

// exportAudit writes all entries that the page's filters select. The last line says that the file
// is whole.
func (c *Console) exportAudit(write func(io.Writer, []exportedEntry, int, bool) error) func(context.Context, *visit, io.Writer) error {
	return func(ctx context.Context, v *visit, out io.Writer) error {
		data := auditPage{Filter: auditFilterOf(v)}
		q, err := c.auditQuery(ctx, v, &data)
		if err != nil {
			return err
		}
		if data.Advice != "" {
			return bad("Nothing can be exported", data.Advice)
		}
		var after store.AuditPosition
		for written := 0; ; written += exportBatch {
			logged, err := data.read(ctx, v.db, q, after, exportBatch)
			if err != nil {
				return err
			}
			batch, err := exported(ctx, v.db, logged)
			if err != nil {
				return err
			}
			last := len(logged) < exportBatch
			if err := write(out, batch, written, last); err != nil || last {
				return err
			}
			after = data.place(logged[len(logged)-1])
		}
	}
}

// exported returns entries as a file has them.
func exported(ctx context.Context, db store.DBTX, logged []clerksync.LoggedEntry) ([]exportedEntry, error) {
	origins, err := store.RequestOrigins(ctx, db, logged)
	if err != nil {
		return nil, err
	}
	batch := make([]exportedEntry, len(logged))
	for i, e := range logged {
		batch[i] = exportedEntry{
			WorkspaceID: e.OrganizationID, ID: e.Seq, At: e.At.UTC(), Actor: e.Actor, Impersonator: e.Impersonator, Action: string(e.Action),
			Target: e.Target, Before: e.Before, After: e.After, Data: e.Data, Erased: e.ErasedBy != 0, Cause: e.Cause,
		}
		if e.ActorUnnamed() {
			batch[i].ClientIP, batch[i].UserAgent = origins[e.Cause].ClientIP, origins[e.Cause].UserAgent
		}
	}
	return batch, nil
}

// writeAuditCSV writes entries, with the header before the first ones and the count after the last.
func writeAuditCSV(out io.Writer, entries []exportedEntry, before int, last bool) error {
	var text bytes.Buffer
	columns := []string{
		"workspace_id", "id", "at", "actor", "impersonator", "action", "target", "before", "after", "data", "cause", "client_ip", "user_agent",
	}
	var err error
	if before == 0 {
		err = spreadsheet.Write(&text, columns...)
	}
	for _, e := range entries {
		if err == nil {
			err = spreadsheet.Write(&text, e.WorkspaceID, strconv.FormatInt(e.ID, 10), e.At.Format(time.RFC3339Nano), orEmpty(e.Actor), orEmpty(e.Impersonator),
				e.Action, e.Target, string(e.Before), string(e.After), string(e.Data), e.Cause, e.ClientIP, e.UserAgent)
		}
	}
	if last && err == nil {
		err = spreadsheet.Write(&text, append([]string{"complete", strconv.Itoa(before + len(entries))}, make([]string, len(columns)-2)...)...)
	}
	return flushed(out, &text, err)
}

// writeAuditJSON writes a JSON object in each line.
func writeAuditJSON(out io.Writer, entries []exportedEntry, before int, last bool) error {
	var text bytes.Buffer
	to := json.NewEncoder(&text)
	var err error
	for _, e := range entries {
		if err == nil {
			err = to.Encode(e)
		}
	}
	if last && err == nil {
		err = to.Encode(map[string]any{"complete": true, "entries": before + len(entries)})
	}
	return flushed(out, &text, err)
}

func flushed(out io.Writer, text *bytes.Buffer, err error) error {
	if err == nil {
		_, err = text.WriteTo(out)
	}
	if err != nil {
		return fmt.Errorf("write a file: %w", err)
	}
	return nil
}

// exportedAt returns the instant of a review that is downloaded.
func (c *Console) exportedAt(v *visit) (time.Time, error) {
	if text := v.filter("at"); text != "" {
		return c.reviewed(text)
	}
	return v.began, nil
}

// reviewName names the file of a review after its instant.
func (c *Console) reviewName(v *visit) string {
	at, err := c.exportedAt(v)
	if err != nil { // then there is no file
		return "access-review.csv"
	}
	return "access-review-" + at.UTC().Format("2006-01-02T150405Z") + ".csv"
}

// exportReview writes the access review of one workspace, or of all. The last record says that the
// file is whole, of which instant it is, and since when the log is complete; no user is in it.
func (c *Console) exportReview(ctx context.Context, v *visit, out io.Writer) error {
	at, err := c.exportedAt(v)
	if err != nil {
		return err
	}
	terms, err := support.Terms(ctx, v.db, at)
	if err != nil {
		return err
	}
	organization := ""
	if named := v.filter("workspace"); named != "" {
		of, advice, err := c.workspaceNamed(ctx, v, named)
		if err != nil {
			return err
		}
		if advice != "" {
			return bad("Nothing can be exported", advice)
		}
		organization = of.ID
	}
	var text bytes.Buffer
	count := 0
	written := spreadsheet.Write(&text, support.ReviewColumns()...) // goes out with the first members: an error before them has a page
	err = support.AccessReview(ctx, v.db, organization, at, func(members []support.ReviewedMember) error {
		count += len(members)
		for _, m := range members {
			if written == nil {
				written = spreadsheet.Write(&text, m.Record()...)
			}
		}
		return flushed(out, &text, written)
	})
	if err != nil {
		return err
	}
	if written == nil {
		written = spreadsheet.Write(&text, terms.Record(count)...)
	}
	return flushed(out, &text, written)
}
