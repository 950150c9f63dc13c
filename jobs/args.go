package jobs

import "github.com/riverqueue/river"

// The queues of jobs that apply deliveries. What takes access away has one of its own, with its own workers, so that
// no backlog of anything else delays it. What waits for another session's lock, or fails, goes on in a third one, so that
// it holds no worker of the first two. Processes of older versions don't work that one.
const (
	QueueApply       = "apply"
	QueueRevocations = "revocations"
	QueueHeldUp      = "held_up"
)

// MaxBatch is how many deliveries one commit accepts and one job applies at most: as many as callers are busy at
// once in the measured range, and few enough that a job stays far below its time-out.
const MaxBatch = 64

// ApplyArgs tells a job which deliveries to apply. The bodies stay in the ledger: jsonb refuses \u0000, and the
// ledger's state is what says whether there is anything left to do.
type ApplyArgs struct {
	SvixIDs []string `json:"svix_ids"`
}

// applyKind is stored with every job; it must never change.
const applyKind = "apply_deliveries"

// Kind implements river.JobArgs.
func (ApplyArgs) Kind() string { return applyKind }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (ApplyArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: maxJobAttempts}
}
