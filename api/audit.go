package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type auditBody struct {
	ID           int64           `json:"id"` // counts the workspace's entries
	At           time.Time       `json:"at"`
	Actor        *string         `json:"actor"`                  // null if Clerk doesn't name one
	Impersonator *string         `json:"impersonator,omitempty"` // who acted as the actor
	Action       string          `json:"action"`
	Target       string          `json:"target"`
	Before       json.RawMessage `json:"before"`
	After        json.RawMessage `json:"after"`
	Data         json.RawMessage `json:"data,omitempty"`   // of a product's entry
	Erased       bool            `json:"erased,omitempty"` // something about a person was erased from it
	Cause        string          `json:"cause"`
	Origin       *originBody     `json:"origin"` // of a change whose actor Clerk doesn't name, while its delivery's body is kept
}

// originBody is the request at Clerk that made a change.
type originBody struct {
	ClientIP  *string `json:"client_ip"`
	UserAgent *string `json:"user_agent"`
}

// auditBodiesOf returns what is answered of entries.
func (s *server) auditBodiesOf(ctx context.Context, entries []clerksync.LoggedEntry) ([]auditBody, error) {
	origins, err := store.RequestOrigins(ctx, s.cfg.DB, entries)
	if err != nil {
		return nil, err
	}
	bodies := make([]auditBody, len(entries))
	for i, e := range entries {
		bodies[i] = auditBodyOf(e)
		if o, known := origins[e.Cause]; known && e.ActorUnnamed() {
			bodies[i].Origin = &originBody{ClientIP: unlessEmpty(o.ClientIP), UserAgent: unlessEmpty(o.UserAgent)}
		}
	}
	return bodies, nil
}

func unlessEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func auditBodyOf(e clerksync.LoggedEntry) auditBody {
	return auditBody{
		ID: e.Seq, At: e.At.UTC(), Actor: e.Actor, Impersonator: e.Impersonator, Action: string(e.Action), Target: e.Target, Before: e.Before, After: e.After,
		Data: e.Data, Erased: e.ErasedBy != 0, Cause: e.Cause,
	}
}

// audit answers GET /v1/workspaces/{workspace_id}/audit, newest entry first.
func (s *server) audit(w http.ResponseWriter, r *http.Request, caller workspaceReader) error {
	q, err := queryOf(r, "actor", "action", "target", "since", "until", "limit", "cursor")
	if err != nil {
		return err
	}
	selected, err := auditQueryOf(q, caller.workspaceID)
	if err != nil {
		return err
	}
	limit, err := limitOf(q, defaultLimit)
	if err != nil {
		return err
	}
	if selected.Before, err = auditCursorOf(q); err != nil {
		return err
	}
	release, err := s.readShares.Take(r.Context(), caller.name)
	if err != nil {
		return err
	}
	defer release()
	entries, err := store.AuditEntries(r.Context(), s.cfg.DB, selected, limit+1)
	if err != nil {
		return err
	}
	body := page[auditBody]{Data: []auditBody{}}
	if len(entries) > limit {
		entries = entries[:limit]
		body.NextCursor = new(encodeAuditCursor(positionOf(entries[limit-1])))
	}
	if body.Data, err = s.auditBodiesOf(r.Context(), entries); err != nil {
		return err
	}
	return writeTagged(w, r, body)
}

// auditQueryOf reads the filters of a workspace's audit log.
func auditQueryOf(q query, workspaceID string) (store.AuditQuery, error) {
	selected := store.AuditQuery{OrganizationID: workspaceID}
	for name, into := range map[string]*string{"actor": &selected.Actor, "action": &selected.Action, "target": &selected.Target} {
		value, given := q[name]
		if given && !clerksync.Storable(value) {
			return selected, badRequest(name + " must have 1 to 255 bytes.")
		}
		*into = value
	}
	if clerksync.Action(selected.Action).Never() {
		return selected, badRequest("action is one that no entry has: look for a mistake in its name.")
	}
	for name, into := range map[string]*time.Time{"since": &selected.Since, "until": &selected.Until} {
		value, given := q[name]
		if !given {
			continue
		}
		at, err := time.Parse(time.RFC3339, value)
		if err != nil || at.IsZero() { // the zero time stands for no bound
			return selected, badRequest(name + " must be an instant such as 2026-01-02T03:04:05Z. A + in a query is written %2B.")
		}
		*into = at
	}
	return selected, nil
}

func positionOf(e clerksync.LoggedEntry) store.AuditPosition {
	return store.AuditPosition{At: e.At, Seq: e.Seq}
}

// A cursor of the audit log is the position after which a page begins, as base64url of
// "microseconds:id". It isn't secret: it selects only among entries that its bearer may read. A
// cursor of another workspace is a position like any other.

func encodeAuditCursor(p store.AuditPosition) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.At.UnixMicro(), 10) + ":" + strconv.FormatInt(p.Seq, 10)))
}

// auditCursorOf reads the query parameter cursor.
func auditCursorOf(q query) (store.AuditPosition, error) {
	invalid := badRequest("cursor must be the next_cursor of an earlier answer.")
	raw, ok := q["cursor"]
	if !ok {
		return store.AuditPosition{}, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		return store.AuditPosition{}, invalid
	}
	at, id, _ := strings.Cut(string(decoded), ":")
	micros, err := strconv.ParseInt(at, 10, 64)
	if err != nil || micros < 0 || micros > maxMillis*1000 {
		return store.AuditPosition{}, invalid
	}
	seq, err := strconv.ParseInt(id, 10, 64)
	if err != nil || seq < 1 {
		return store.AuditPosition{}, invalid
	}
	return store.AuditPosition{At: time.UnixMicro(micros), Seq: seq}, nil
}
