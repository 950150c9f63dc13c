package jobs

import (
	"context"

	"github.com/callmine/rolecall/store"
)

// OfDelivery returns the jobs that apply a delivery, the newest first, as long as the queue keeps
// them.
func OfDelivery(ctx context.Context, db store.DBTX, svixID string) ([]store.JobOfDelivery, error) {
	return store.JobsOfDelivery(ctx, db, applyKind, svixID)
}
