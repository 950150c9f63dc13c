package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// AppendAudit adds entries to the audit log, in their order.
func AppendAudit(ctx context.Context, db DBTX, entries []clerksync.AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	var p dbsqlc.AppendAuditParams
	for _, e := range entries {
		before, err := detailsJSON(e.Before)
		if err != nil {
			return err
		}
		after, err := detailsJSON(e.After)
		if err != nil {
			return err
		}
		p.OrganizationIds = append(p.OrganizationIds, e.OrganizationID)
		p.Actors = append(p.Actors, e.Actor)
		p.Actions = append(p.Actions, string(e.Action))
		p.Targets = append(p.Targets, e.Target)
		p.Befores = append(p.Befores, before)
		p.Afters = append(p.Afters, after)
		p.At = append(p.At, time.UnixMilli(e.At))
		p.Causes = append(p.Causes, e.Cause)
	}
	if err := queries().AppendAudit(ctx, db, p); err != nil {
		return fmt.Errorf("append to the audit log: %w", err)
	}
	return nil
}

// detailsJSON writes details as JSON; "" for none.
func detailsJSON(d clerksync.Details) (string, error) {
	if d == nil {
		return "", nil
	}
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("write audit details: %w", err)
	}
	return string(text), nil
}
