package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/spreadsheet"
	"github.com/callmine/rolecall/store"
)

const (
	// exportBatch is how many entries are read, written and flushed at a time. A batch of the
	// largest entries takes a few megabytes.
	exportBatch = 200
	// defaultExportStall is how long a reader may take for one batch.
	defaultExportStall = 30 * time.Second
)

// exportFormat writes entries one after the other. After the last one it writes their number.
type exportFormat struct {
	contentType, fileName string
	begin                 func(*bytes.Buffer)
	entry                 func(*bytes.Buffer, auditBody)
	end                   func(*bytes.Buffer, int)
}

// exportAudit answers GET /v1/workspaces/{workspace_id}/audit/export with all entries that the
// filters select, as of the export's beginning. It needs the memory of one batch, and lasts as long
// as the caller keeps reading. Between batches it holds no connection to the database. The last
// line says that the export is complete. An export that was cut off lacks this line.
func (s *server) exportAudit(w http.ResponseWriter, r *http.Request, caller workspaceReader) error {
	q, err := queryOf(r, "format", "actor", "action", "target", "since", "until")
	if err != nil {
		return err
	}
	format, err := exportFormatOf(q)
	if err != nil {
		return err
	}
	selected, err := auditQueryOf(q, caller.workspaceID)
	if err != nil {
		return err
	}
	if selected.Through, err = store.LastAuditSeq(r.Context(), s.cfg.DB, caller.workspaceID); err != nil {
		return err
	}
	selected.Through = max(selected.Through, 1) // 0 would mean no bound
	entries, err := s.batch(r.Context(), caller, selected)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", format.contentType)
	w.Header().Set("Content-Disposition", `attachment; filename="`+format.fileName+`"`)
	if r.Method == http.MethodHead { // the log would be read for nothing
		return nil
	}
	if err := s.stream(w, r, caller, selected, entries, format); err != nil {
		if _, ours := problemFor(err); ours {
			s.cfg.Logger.ErrorContext(r.Context(), "export cut off", "error", err)
		}
		panic(http.ErrAbortHandler) // cuts the connection, because the status has been sent
	}
	return nil
}

// stream writes the given entries, then reads and writes the following batches to the end.
func (s *server) stream(w http.ResponseWriter, r *http.Request, caller workspaceReader, selected store.AuditQuery,
	entries []auditBody, format exportFormat,
) (err error) {
	var out bytes.Buffer
	format.begin(&out)
	for written := 0; ; {
		for _, e := range entries {
			format.entry(&out, e)
		}
		written += len(entries)
		ends := len(entries) < exportBatch
		if ends {
			format.end(&out, written)
		}
		if err := s.flush(w, &out); err != nil || ends {
			return err
		}
		last := entries[len(entries)-1]
		selected.Before = store.AuditPosition{At: last.At, Seq: last.ID}
		if entries, err = s.nextBatch(r, caller, selected); err != nil {
			return err
		}
	}
}

// flush sends a batch. It cuts off a reader that doesn't take the batch in time.
func (s *server) flush(w http.ResponseWriter, out *bytes.Buffer) error {
	connection := http.NewResponseController(w)
	if err := connection.SetWriteDeadline(time.Now().Add(s.cfg.ExportStall)); err != nil {
		return err
	}
	if _, err := out.WriteTo(w); err != nil {
		return errReaderGone
	}
	if err := connection.Flush(); err != nil {
		return errReaderGone
	}
	return nil // for the next request, net/http sets a new deadline
}

// errReaderGone ends an export without a line in the log. It is never an answer.
var errReaderGone = &problem{Type: problemType + "unavailable", Title: "Reader has gone", Status: http.StatusServiceUnavailable}

// nextBatch reads the next batch if the caller may still read it: a member who was removed
// meanwhile gets no more. Each batch has a timeout of its own, because the request's may be over.
func (s *server) nextBatch(r *http.Request, caller workspaceReader, selected store.AuditQuery) ([]auditBody, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), requestTimeout)
	defer cancel()
	if err := s.stillReads(ctx, caller, policy.AuditRead); err != nil {
		return nil, err
	}
	return s.batch(ctx, caller, selected)
}

// batch reads one batch, in the turn of the caller's exports. Their other lists have turns of their
// own, so that no list cuts an export off.
func (s *server) batch(ctx context.Context, caller workspaceReader, selected store.AuditQuery) ([]auditBody, error) {
	release, err := s.readShares.Take(ctx, "export of "+caller.name)
	if err != nil {
		return nil, err
	}
	defer release()
	entries, err := store.AuditEntries(ctx, s.cfg.DB, selected, exportBatch)
	if err != nil {
		return nil, err
	}
	return s.auditBodiesOf(ctx, entries)
}

func exportFormatOf(q query) (exportFormat, error) {
	format, given := q["format"]
	switch {
	case !given || format == "jsonl":
		return jsonLines(), nil
	case format == "csv":
		return commaSeparated(), nil
	default:
		return exportFormat{}, badRequest("format must be jsonl or csv.")
	}
}

type exportEnd struct {
	Complete bool `json:"complete"`
	Entries  int  `json:"entries"`
}

func jsonLines() exportFormat {
	line := func(out *bytes.Buffer, v any) {
		_ = json.NewEncoder(out).Encode(v) //nolint:errchkjson // a buffer takes all, and what Postgres took is JSON
	}
	return exportFormat{
		contentType: "application/jsonl", fileName: "audit.jsonl",
		begin: func(*bytes.Buffer) {},
		entry: func(out *bytes.Buffer, e auditBody) { line(out, e) },
		end:   func(out *bytes.Buffer, entries int) { line(out, exportEnd{Complete: true, Entries: entries}) },
	}
}

// commaSeparated is CSV that no spreadsheet reads a formula in.
func commaSeparated() exportFormat {
	record := func(out *bytes.Buffer, cells ...string) {
		_ = spreadsheet.Write(out, cells...) // a buffer takes all
	}
	return exportFormat{
		contentType: "text/csv; charset=utf-8", fileName: "audit.csv",
		begin: func(out *bytes.Buffer) {
			record(out, "id", "at", "actor", "action", "target", "before", "after", "data", "cause", "impersonator", "client_ip", "user_agent")
		},
		entry: func(out *bytes.Buffer, e auditBody) {
			origin := *cmp.Or(e.Origin, &originBody{})
			record(out, strconv.FormatInt(e.ID, 10), e.At.Format(time.RFC3339Nano), *cmp.Or(e.Actor, new("")), e.Action, e.Target,
				string(e.Before), string(e.After), string(e.Data), e.Cause, *cmp.Or(e.Impersonator, new("")),
				*cmp.Or(origin.ClientIP, new("")), *cmp.Or(origin.UserAgent, new("")))
		},
		end: func(out *bytes.Buffer, entries int) {
			record(out, "complete", strconv.Itoa(entries), "", "", "", "", "", "", "", "", "", "")
		},
	}
}
