package jobs

import (
	"time"

	"github.com/callmine/rolecall/jobs/merge"
)

const (
	// statementTime is how long a statement that applies deliveries may take, beside the time to
	// wait for two locks. statementTimeEach is added for each delivery. For a whole batch, a
	// statement usually takes a few milliseconds. One that exceeds its bound has a slow trigger.
	statementTime     = 50 * time.Millisecond
	statementTimeEach = 250 * time.Microsecond
	// briefLockWait is how long such a transaction waits for a lock. Our own workers hold theirs for
	// some milliseconds each, and a removal of another workspace may wait in the same batch.
	briefLockWait = 30 * time.Millisecond
	// patientTime is the bound of a statement where no other delivery waits for the worker.
	patientTime = applyTimeout
)

// brief returns the bounds of a transaction that applies n deliveries while other workspaces may
// wait for its worker.
func (w *applyWorker) brief(n int) merge.Bounds {
	return merge.Bounds{
		Lock:      w.pace.stretch(briefLockWait),
		Statement: w.pace.stretch(statementTime + 2*briefLockWait + time.Duration(n)*statementTimeEach),
	}
}

// patient returns the bounds of a transaction that may take long. It still waits briefly for locks:
// other transactions may need the rows that it holds.
func (w *applyWorker) patient() merge.Bounds {
	return merge.Bounds{Lock: w.pace.stretch(merge.LockWait), Statement: patientTime}
}
