package jobs

import (
	"time"

	"github.com/callmine/rolecall/jobs/merge"
)

const (
	// statementTime is how long a statement that applies one delivery may take, besides waiting for
	// two locks. statementTimeEach is added for each further delivery. A statement takes a few
	// milliseconds for a whole batch: one that takes longer has a slow trigger.
	statementTime     = 50 * time.Millisecond
	statementTimeEach = 250 * time.Microsecond
	// patientTime is the same where nothing else waits for the worker.
	patientTime = applyTimeout
)

// brief returns the bounds of a transaction that applies n deliveries, and whose worker other
// workspaces may wait for.
func (w *applyWorker) brief(n int) merge.Bounds {
	return merge.Bounds{
		Lock:      w.pace.stretch(merge.LockWait),
		Statement: w.pace.stretch(statementTime + 2*merge.LockWait + time.Duration(n)*statementTimeEach),
	}
}

// patient returns the bounds of a transaction that may take long. It still waits briefly for locks:
// other transactions may need the rows that it holds.
func (w *applyWorker) patient() merge.Bounds {
	return merge.Bounds{Lock: w.pace.stretch(merge.LockWait), Statement: patientTime}
}
