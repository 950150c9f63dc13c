package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// LimitStatements bounds each statement of a transaction: its time, to the millisecond, and the
// processors that it takes, to one.
func LimitStatements(ctx context.Context, tx DBTX, limit time.Duration) error {
	err := queries().LimitStatements(ctx, tx, strconv.FormatInt(limit.Milliseconds(), 10))
	if err != nil {
		return fmt.Errorf("limit the statements of a transaction: %w", err)
	}
	return nil
}

// OperatorEntry is what happened in the console, for the audit log of the whole instance.
type OperatorEntry struct {
	Operator string // name of the operator; "" if it isn't known who it was
	Action   clerksync.Action
	Target   string         // id of what it was done to
	Data     map[string]any // nil for none
}

// AppendOperatorEntry appends an entry with the actor "operator:NAME". The lock of the chain is the
// last one that a transaction takes.
func AppendOperatorEntry(ctx context.Context, db DBTX, e OperatorEntry) error {
	p := dbsqlc.AppendOperatorEntryParams{Action: string(e.Action), Target: e.Target}
	if e.Operator != "" {
		p.Actor = new(clerksync.OperatorPrefix + e.Operator)
	}
	if e.Data != nil {
		var err error
		if p.Data, err = json.Marshal(e.Data); err != nil {
			return fmt.Errorf("encode the data of %s: %w", e.Action, err)
		}
	}
	if err := queries().AppendOperatorEntry(ctx, db, p); err != nil {
		return fmt.Errorf("append %s to the audit log: %w", e.Action, err)
	}
	return nil
}

// OperatorSession is an operator's session in the console.
type OperatorSession struct {
	ID        [sha256.Size]byte // SHA-256 of the id in the operator's cookie
	Operator  string
	TokenHash [sha256.Size]byte // SHA-256 of the token that opened the session
}

// StartOperatorSession adds a session that lasts for the given time by the database's clock. It
// removes those that have expired.
func StartOperatorSession(ctx context.Context, tx DBTX, s OperatorSession, lasts time.Duration) error {
	if err := queries().PruneOperatorSessions(ctx, tx); err != nil {
		return fmt.Errorf("prune operators' sessions: %w", err)
	}
	err := queries().AddOperatorSession(ctx, tx, dbsqlc.AddOperatorSessionParams{
		IDHash: s.ID[:], Operator: s.Operator, TokenHash: s.TokenHash[:], Seconds: lasts.Seconds(),
	})
	if err != nil {
		return fmt.Errorf("start a session of %s: %w", s.Operator, err)
	}
	return nil
}

// FindOperatorSession returns a session that hasn't expired. The error is [ErrNotFound] if there is
// none.
func FindOperatorSession(ctx context.Context, db DBTX, id [sha256.Size]byte) (OperatorSession, error) {
	r, err := queries().OperatorSession(ctx, db, id[:])
	if err := oneRow(err, "read an operator's session"); err != nil {
		return OperatorSession{}, err
	}
	s := OperatorSession{ID: id, Operator: r.Operator}
	copy(s.TokenHash[:], r.TokenHash)
	return s, nil
}

// EndOperatorSession ends a session, if there is one.
func EndOperatorSession(ctx context.Context, db DBTX, id [sha256.Size]byte) error {
	if err := queries().EndOperatorSession(ctx, db, id[:]); err != nil {
		return fmt.Errorf("end an operator's session: %w", err)
	}
	return nil
}

// Pulse returns a text that differs after a delivery came or was applied, a sweep went on, or an
// operator did something.
func Pulse(ctx context.Context, db DBTX) (string, error) {
	text, err := queries().Pulse(ctx, db)
	if err != nil {
		return "", fmt.Errorf("look for changes: %w", err)
	}
	return text, nil
}
