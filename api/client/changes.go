package client

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// FeedChange is one change of the feed: something about a workspace, a member, an invitation, a
// user or a role that Rolecall recorded, or an event that a product appended.
type FeedChange struct {
	Cursor       string    `json:"cursor"`        // its place: Follow continues after it
	At           time.Time `json:"at"`            // when it happened; changes aren't ordered by it
	WorkspaceID  string    `json:"workspace_id"`  // empty if it concerns the whole instance: users and roles
	Kind         string    `json:"kind"`          // the action of its audit entry, such as "member.removed"
	Target       string    `json:"target"`        // what has changed: an id of the user, workspace, invitation or role, or what a product named
	UserID       string    `json:"user_id"`       // whom it is about; empty if it is about no user
	MembershipID string    `json:"membership_id"` // of every change of a member, else empty
	Role         string    `json:"role"`          // of a member or an invitation: the role after the change, or the last one; of a role: its key; else empty
	Revision     int64     `json:"revision"`      // of the workspace, at which the change is in force, as min_revision takes it; else 0
	Cause        string    `json:"cause"`         // msg_…, cmd_…, sweep_…, lookup_… or a product's own

	Deleted       *bool `json:"deleted"`       // of a user: what the change says of the account; nil if it doesn't say
	Banned        *bool `json:"banned"`        // the same
	Deprovisioned *bool `json:"deprovisioned"` // the same
}

// Batch is what [Client.Follow] hands over at once. It may have no changes: it then only says how
// far the feed is complete.
type Batch struct {
	// Changes are at most FollowOptions.Limit changes, in the order of the feed. The changes of one
	// workspace are in the order in which they took effect.
	Changes []FeedChange
	// Cursor is the place after the batch. Store it together with what the batch has led to, and
	// give it to Follow as After.
	Cursor string
	// CompleteUntil tells silence from lag: all changes that were recorded before this instant are
	// in this batch or in earlier ones.
	CompleteUntil time.Time
	// More says that the batch is full, so that the next one follows at once. After a batch without
	// it, the consumer has caught up for now.
	More bool
	// Anew says that what comes doesn't continue earlier batches: drop what they led to. So it is in
	// the first batch of a consumer without a cursor and, with FollowOptions.StartAnew, after the
	// cursor expired.
	Anew bool
}

// ErrCursorExpired means that a cursor leads nowhere any more: it is older than the audit log is
// kept, or of a history that a failover of the database has cut off. Drop what you know and start
// anew, without a cursor, or let FollowOptions.StartAnew do so.
var ErrCursorExpired = errors.New("the cursor has expired: start anew without one")

// ErrNotChanges means that an answer of 200 wasn't the changes that were asked for: a server
// between, or the one at URL, isn't Rolecall. [Client.Follow] asks again.
var ErrNotChanges = errors.New("the answer isn't the changes that were asked for")

// readBatch reads an answer to GET /v1/changes, whole or not at all.
func readBatch(answer []byte, after string, limit int) (Batch, error) {
	var page struct {
		Data          *[]FeedChange `json:"data"`
		NextCursor    string        `json:"next_cursor"`
		CompleteUntil *time.Time    `json:"complete_until"`
	}
	if json.Unmarshal(answer, &page) != nil || page.Data == nil || page.NextCursor == "" || page.CompleteUntil == nil {
		return Batch{}, ErrNotChanges
	}
	changes := *page.Data
	if len(changes) > limit || len(changes) > 0 && page.NextCursor == after { // the next answer would be the same
		return Batch{}, ErrNotChanges
	}
	for _, change := range changes {
		if change.Cursor == "" || change.Cursor == after || change.Kind == "" || change.At.IsZero() {
			return Batch{}, ErrNotChanges
		}
	}
	return Batch{Changes: changes, Cursor: page.NextCursor, CompleteUntil: *page.CompleteUntil, More: len(changes) == limit}, nil
}

// area returns a kind's text before its first dot.
func (c FeedChange) area() string {
	area, _, _ := strings.Cut(c.Kind, ".")
	return area
}
