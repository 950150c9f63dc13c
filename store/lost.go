package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// AcknowledgedKind says what was acknowledged.
type AcknowledgedKind string

// The kinds. They are stored, and labels of a metric; never change them.
const (
	AcknowledgedDelivery AcknowledgedKind = "delivery"
	AcknowledgedCommand  AcknowledgedKind = "command"
	AcknowledgedEntry    AcknowledgedKind = "entry" // that a service appended to the audit log
)

// AcknowledgedKinds lists all kinds.
func AcknowledgedKinds() []AcknowledgedKind {
	return []AcknowledgedKind{AcknowledgedDelivery, AcknowledgedCommand, AcknowledgedEntry}
}

// EntryID names an entry of the audit log so that no entry of another history has the same name.
func EntryID(id int64, hash []byte) string { return fmt.Sprintf("%d:%x", id, hash) }

// Acknowledged is something that was acknowledged, so that its sender won't send it again.
type Acknowledged struct {
	ID string    // an svix-id, the id of a command, or an [EntryID]
	At time.Time // by the clock of the process
}

// Missing returns those of the ids that the database doesn't have.
func Missing(ctx context.Context, db DBTX, kind AcknowledgedKind, ids []string) (missing []string, err error) {
	switch kind {
	case AcknowledgedDelivery:
		missing, err = queries().MissingDeliveries(ctx, db, ids)
	case AcknowledgedCommand:
		missing, err = queries().MissingCommands(ctx, db, ids)
	case AcknowledgedEntry:
		missing, err = queries().MissingEntries(ctx, db, ids)
	}
	if err != nil {
		return nil, fmt.Errorf("look for what was acknowledged (%s): %w", kind, err)
	}
	return missing, nil
}

// NoteLost notes what is missing. What is noted already stays as it is. With more, the process
// remembers nothing older than the first, so that more may be missing. Late says that some of it
// was acknowledged after the last noted change of the database, at the old server: the sweep after
// that change may have begun too early for it, and a further one must follow.
func NoteLost(ctx context.Context, db DBTX, kind AcknowledgedKind, lost []Acknowledged, more bool) (late bool, err error) {
	p := dbsqlc.NoteLostParams{Kind: string(kind)}
	for i, l := range lost {
		p.Ids = append(p.Ids, l.ID)
		p.AcknowledgedAt = append(p.AcknowledgedAt, l.At)
		p.Ages = append(p.Ages, time.Since(l.At).Seconds())
		p.More = append(p.More, more && i == 0)
	}
	late, err = queries().NoteLost(ctx, db, p)
	if err != nil {
		return false, fmt.Errorf("note what was lost (%s): %w", kind, err)
	}
	return late, nil
}

// Lost is what was acknowledged, is missing, and no whole sweep has made up for yet.
type Lost struct {
	Deliveries, Commands, Entries int64
	More                          bool      // perhaps there is more that no process remembers
	First, Last                   time.Time // when the first and the last of it was acknowledged
}

// Any reports whether anything is missing.
func (l Lost) Any() bool { return l.Deliveries+l.Commands+l.Entries > 0 }

// ReadLost returns what is known to be missing.
func ReadLost(ctx context.Context, db DBTX) (Lost, error) {
	row, err := queries().Lost(ctx, db)
	if err != nil {
		return Lost{}, fmt.Errorf("read what was lost: %w", err)
	}
	return Lost{
		Deliveries: row.Deliveries, Commands: row.Commands, Entries: row.Entries, More: row.More, First: known(row.First), Last: known(row.Last),
	}, nil
}
