package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type eventInput struct {
	Actor        *string         `json:"actor"`
	Impersonator *string         `json:"impersonator"`
	Action       string          `json:"action"`
	Target       string          `json:"target"`
	Data         json.RawMessage `json:"data"`
	At           *string         `json:"at"`
}

const (
	// maxEventData bounds the data of an entry. It is enough to describe an event, but too little
	// for use as a store.
	maxEventData = 16 << 10
	// maxEventDepth bounds how deep the data is nested. It is far below the limits of the parsers
	// that read it.
	maxEventDepth = 100
	// eventTimeout is how long appending may wait for other appends to the same workspace's log.
	eventTimeout = 5 * time.Second
	// maxClockSkew is how far a service's clock may be ahead of ours.
	maxClockSkew = 5 * time.Minute
)

// appendAudit answers POST /v1/workspaces/{workspace_id}/audit: a service records an event of its
// product. The entry keeps the named actor, even after that user is deleted.
func (s *server) appendAudit(w http.ResponseWriter, r *http.Request, service auth.Identity) error {
	if r.Header.Values(headerOnBehalfOf) != nil {
		return badRequest("Rolecall-On-Behalf-Of isn't allowed here: name the user as actor.")
	}
	var input eventInput
	raw, err := readCommand(w, r, &input)
	if err != nil {
		return err
	}
	event, err := input.event(service.Service, s.cfg.Now())
	if err != nil {
		return err
	}
	key, err := keyOf(r, event.Cause, raw)
	if err != nil {
		return err
	}
	event.OrganizationID = mux.Vars(r)["workspace_id"]
	if !service.Rights.In(event.OrganizationID) {
		return errWorkspaceNotListed
	}
	standing, err := s.liveWorkspace(r.Context(), event.OrganizationID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), eventTimeout)
	defer cancel()
	release, err := s.eventShares.Take(ctx, event.OrganizationID)
	if err != nil {
		return err
	}
	defer release()
	entry, repeated, err := store.AppendEvent(ctx, s.cfg.EventDB, event, key)
	if err != nil {
		return err
	}
	s.cfg.Appended(entry)
	writeFreshness(w, standing, clerksync.Decision{})
	if repeated {
		w.Header().Set(headerReplayed, "true")
	}
	writeBody(w, http.StatusCreated, "application/json", auditBodyOf(entry))
	return nil
}

// event checks the input and returns the entry to record.
func (in eventInput) event(service string, now time.Time) (store.Event, error) {
	e := store.Event{Actor: servicePrefix + service, Action: in.Action, Target: in.Target, Cause: servicePrefix + service}
	if in.Actor != nil {
		e.Actor = *in.Actor
		if !strings.HasPrefix(e.Actor, clerksync.UserPrefix) || e.Actor == clerksync.UserPrefix || !clerksync.Storable(e.Actor) {
			return e, badRequest("actor must be a user (user_…), or be left out to name the service itself.")
		}
	}
	if in.Impersonator != nil {
		e.Impersonator = *in.Impersonator
		if in.Actor == nil || !clerksync.Storable(e.Impersonator) {
			return e, badRequest("impersonator must name who acted as the user in actor, in 1 to 255 bytes, or be left out.")
		}
	}
	if err := checkAction(in.Action); err != nil {
		return e, err
	}
	if !clerksync.Storable(in.Target) {
		return e, badRequest("target must have 1 to 255 bytes.")
	}
	var err error
	if e.Data, err = eventData(in.Data); err != nil {
		return e, err
	}
	if in.At == nil {
		return e, nil
	}
	if e.At, err = time.Parse(time.RFC3339, *in.At); err != nil || e.At.Unix() < 0 {
		return e, badRequest("at must be an instant such as 2026-01-02T03:04:05Z, from 1970 on.")
	}
	if e.At.After(now.Add(maxClockSkew)) {
		return e, badRequest("at must not be in the future.")
	}
	return e, nil
}

// servicePrefix begins the name of a service in fields that may hold a user's id instead.
const servicePrefix = "service:"

var dottedName = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)

// checkAction refuses texts that aren't dotted names. It also refuses names that only Rolecall
// itself may write, so that no service forges a removal.
func checkAction(action string) error {
	if len(action) > clerksync.MaxID || !dottedName.MatchString(action) {
		return badRequest("action must be a dotted name of at most 255 lower-case letters, digits and underscores, such as report.run.")
	}
	if clerksync.Action(action).Reserved() {
		return badRequest("action must not begin with workspace, member, invitation, user, role or operator: Rolecall itself records those.")
	}
	return nil
}

// eventData returns the data of an entry without spaces; nil for none.
func eventData(raw json.RawMessage) (json.RawMessage, error) {
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	var compact bytes.Buffer
	var object map[string]any // refuses numbers like 1e999, which many parsers can't read
	err := errors.Join(json.Compact(&compact, raw), json.Unmarshal(raw, &object))
	if err != nil || compact.Len() > maxEventData || !utf8.Valid(raw) || depth(compact.Bytes()) > maxEventDepth {
		return nil, badRequest("data must be a JSON object of at most 16 KiB, nested at most 100 deep, with numbers that fit a double.")
	}
	return compact.Bytes(), nil
}

// depth returns how deep valid JSON is nested.
func depth(valid []byte) (deepest int) {
	now := 0
	quoted := false
	for i := 0; i < len(valid); i++ {
		c := valid[i]
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}
