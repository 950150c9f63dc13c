package console

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func (c *Console) deliveryActions() []action {
	return []action{
		{path: "/deliveries/{id}/replay", do: c.replayOne},
		{path: "/deliveries/replay", do: c.replayQuarantined},
	}
}

// replayOne replays one delivery.
func (c *Console) replayOne(ctx context.Context, v *visit) (string, error) {
	id := v.PathValue("id")
	if _, err := store.FindLedgerRow(ctx, c.cfg.Pool, id); err != nil { // no entry names what there isn't
		return "", err
	}
	return pathTo("deliveries", id), c.order(ctx, v, doing{Action: clerksync.ActionOperatorReplayed, Target: id}, func(ctx context.Context) error {
		results, err := jobs.Replay(ctx, c.cfg.Pool, c.cfg.Instance(), []string{id})
		if err != nil {
			return err
		}
		if !results[0].Enqueued {
			return bad("The delivery isn't replayed: "+results[0].Why, "Nothing was changed.")
		}
		v.said = "The delivery is replayed: it is applied in a moment."
		return nil
	})
}

const (
	// replayBatch is how many deliveries are read at a time.
	replayBatch = 100
	// replayTime bounds a replay of many. It is below changeTime.
	replayTime = 7 * time.Second
)

// quarantineTarget stands in the audit log for the deliveries that are quarantined.
const quarantineTarget = "quarantined"

// replayQuarantined replays the quarantined deliveries that the filters select, the newest first,
// as many as there is time for. The filters select what they select on the page of the list.
func (c *Console) replayQuarantined(ctx context.Context, v *visit) (string, error) {
	typed := v.deliveryFilter()
	typed.State = string(clerksync.StateQuarantined)
	filter, err := typed.read(ctx, c.cfg.Pool, c.cfg.Now())
	if err != nil {
		advice, err := adviceFor(err)
		if err == nil {
			err = bad("Nothing is replayed", advice)
		}
		return "", err
	}
	what := doing{Action: clerksync.ActionOperatorReplayed, Target: quarantineTarget, Data: map[string]any{
		"type": typed.Type, "organization_id": filter.OrganizationID, "user_id": filter.UserID,
	}}
	for name, at := range map[string]time.Time{"since": filter.Since, "until": filter.Until} {
		if !at.IsZero() {
			what.Data[name] = at.UTC().Format(time.RFC3339)
		}
	}
	next := query("/deliveries", "state", typed.State, "type", typed.Type, "workspace", typed.Workspace, "user", typed.User,
		"within", typed.Within, "before", typed.Before)
	return next, c.order(ctx, v, what, func(ctx context.Context) error {
		done, err := c.replayAll(ctx, filter)
		v.said = done.String()
		return err
	})
}

// replayAll replays what a filter selects, and stops when its time is over.
func (c *Console) replayAll(ctx context.Context, filter store.Filter) (*replayed, error) {
	end := time.Now().Add(replayTime)
	filter.Limit = replayBatch
	done := &replayed{refused: map[string]int{}}
	for {
		rows, err := store.LedgerRows(ctx, c.cfg.Pool, filter)
		if err != nil || len(rows) == 0 {
			return done, err
		}
		ids := make([]string, len(rows))
		for i, r := range rows {
			ids[i] = r.SvixID
		}
		results, err := jobs.Replay(ctx, c.cfg.Pool, c.cfg.Instance(), ids)
		if err != nil {
			return done, err
		}
		for _, r := range results {
			done.count(r)
		}
		filter.Before = rows[len(rows)-1].Position()
		if time.Now().After(end) {
			done.cut = len(rows) == replayBatch
			return done, nil
		}
	}
}

// replayed counts what a replay of many did.
type replayed struct {
	enqueued int
	refused  map[string]int // by reason
	cut      bool           // time was over before all were tried
}

func (r *replayed) count(one jobs.Replayed) {
	if one.Enqueued {
		r.enqueued++
		return
	}
	r.refused[one.Why]++
}

// String says what was done, in sentences.
func (r *replayed) String() string {
	var b strings.Builder
	switch {
	case r.enqueued > 0:
		b.WriteString(counted(r.enqueued, "delivery is", "deliveries are") + " replayed: they are applied in a moment.")
	case len(r.refused) == 0:
		return "No delivery is quarantined there: nothing was replayed."
	default:
		b.WriteString("No delivery was replayed.")
	}
	reasons := make([]string, 0, len(r.refused))
	for why := range r.refused {
		reasons = append(reasons, why)
	}
	slices.SortFunc(reasons, func(a, b string) int { return r.refused[b] - r.refused[a] })
	for i, why := range reasons {
		if i == 3 {
			b.WriteString(" There are other reasons, too.")
			break
		}
		fmt.Fprintf(&b, " %s: %s.", counted(r.refused[why], "stays", "stay"), why)
	}
	if r.cut {
		b.WriteString(" There are more: replay again.")
	}
	return b.String()
}
