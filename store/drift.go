package store

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// DriftCause says why an object differed from Clerk.
type DriftCause string

// The causes of drift. The values are stored and shown; never change them.
const (
	CauseUndelivered DriftCause = "undelivered" // no delivery shows it: the event was lost, or never sent
	CauseFirstFill   DriftCause = "first_fill"  // no delivery shows it, before the first clean sweep: mostly older than the webhooks
	CauseWaiting     DriftCause = "waiting"     // a delivery about the object came and isn't applied yet
	CauseQuarantined DriftCause = "quarantined" // a delivery about the object came, and is set aside
	CauseLag         DriftCause = "lag"         // Clerk's API showed an older state than what is applied: nothing is wrong here
)

// DriftCauses lists the causes of real differences: all but [CauseLag].
func DriftCauses() []DriftCause {
	return []DriftCause{CauseUndelivered, CauseFirstFill, CauseWaiting, CauseQuarantined}
}

// Untold reports whether no delivery that came shows the difference.
func (c DriftCause) Untold() bool { return c == CauseUndelivered || c == CauseFirstFill }

// FoundDrift is one object that differed from Clerk.
type FoundDrift struct {
	clerksync.Drift

	Resource clerksync.Resource
	Cause    DriftCause
}

// FindCauses finds the causes of the drift of one resource. Drift that no delivery shows gets the
// cause that the caller gives as untold.
func FindCauses(ctx context.Context, db DBTX, r clerksync.Resource, drift []clerksync.Drift, untold DriftCause) ([]FoundDrift, error) {
	if len(drift) == 0 {
		return nil, nil
	}
	ids := make([]string, len(drift))
	for i, d := range drift {
		ids[i] = d.ID
	}
	rows, err := queries().Unapplied(ctx, db, ids)
	if err != nil {
		return nil, fmt.Errorf("find causes of drift: %w", err)
	}
	causes := map[string]DriftCause{}
	for _, row := range rows {
		causes[row.ObjectID] = CauseWaiting
		if clerksync.State(row.State) == clerksync.StateQuarantined {
			causes[row.ObjectID] = CauseQuarantined
		}
	}
	found := make([]FoundDrift, len(drift))
	for i, d := range drift {
		cause, known := causes[d.ID]
		if !known || untold == CauseLag {
			cause = untold
		}
		found[i] = FoundDrift{Drift: d, Resource: r, Cause: cause}
	}
	return found, nil
}

// countDrift adds the statement that adds drift to the totals, unless there is none.
func countDrift(p *pipeline, drift []FoundDrift) {
	if len(drift) == 0 {
		return
	}
	var resources, differences, causes []string
	for _, d := range drift {
		resources = append(resources, string(d.Resource))
		differences = append(differences, string(d.Difference))
		causes = append(causes, string(d.Cause))
	}
	p.exec(dbsqlc.AddDrift, nil, resources, differences, causes)
}

// DriftTotal is how often objects of a resource have differed from Clerk, for one cause.
type DriftTotal struct {
	Resource   clerksync.Resource   `json:"resource"`
	Difference clerksync.Difference `json:"difference"`
	Cause      DriftCause           `json:"cause"`
	Count      int64                `json:"count"`
}

// DriftTotals returns all drift that sweeps have ever found.
func DriftTotals(ctx context.Context, db DBTX) ([]DriftTotal, error) {
	rows, err := queries().Drift(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("read drift: %w", err)
	}
	totals := make([]DriftTotal, len(rows))
	for i, r := range rows {
		totals[i] = DriftTotal{
			Resource: clerksync.Resource(r.Resource), Difference: clerksync.Difference(r.Difference), Cause: DriftCause(r.Cause), Count: r.Count,
		}
	}
	return totals, nil
}
