package jobs

import (
	"time"

	"github.com/callmine/rolecall/jobs/merge"
)

const (
	// statementTime is how long a statement may take that applies one delivery, beside waiting for
	// two locks, and statementTimeEach what each further one adds. A statement takes a few
	// milliseconds for a whole batch: what takes longer has a trigger that sleeps.
	statementTime     = 50 * time.Millisecond
	statementTimeEach = 250 * time.Microsecond
	// patientTime is the same where nothing else waits for the worker.
	patientTime = applyTimeout
)

// brief are the bounds of a transaction that applies n deliveries, and for whose end other
// workspaces may wait.
func (w *applyWorker) brief(n int) merge.Bounds {
	return merge.Bounds{
		Lock:      w.pace.stretch(merge.LockWait),
		Statement: w.pace.stretch(statementTime + 2*merge.LockWait + time.Duration(n)*statementTimeEach),
	}
}

// patient are the bounds of a transaction that may take its time. It still waits briefly for locks:
// others may need what it holds.
func (w *applyWorker) patient() merge.Bounds {
	return merge.Bounds{Lock: w.pace.stretch(merge.LockWait), Statement: patientTime}
}
