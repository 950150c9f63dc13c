package jobs

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// lockWait is how long a transaction waits for another session's lock. Our own transactions hold theirs for some
	// milliseconds, and whoever waits holds rows of other workspaces meanwhile.
	lockWait = 50 * time.Millisecond
	// statementTime is how long a statement may take that applies one delivery, beside waiting for two locks, and
	// statementTimeEach what each further one adds. A statement takes a few milliseconds for a whole batch: what takes longer
	// has a trigger that sleeps.
	statementTime     = 50 * time.Millisecond
	statementTimeEach = 250 * time.Microsecond
	// patientTime is the same where nothing else waits for the worker.
	patientTime = applyTimeout
)

// bounds limit one transaction at the database, so that its connection outlives them. 0 keeps the session's own limit.
type bounds struct{ lock, statement time.Duration }

// brief are the bounds of a transaction that applies n deliveries, and for whose end other workspaces may wait.
func (w *applyWorker) brief(n int) bounds {
	return bounds{
		lock: w.pace.stretch(lockWait), statement: w.pace.stretch(statementTime + 2*lockWait + time.Duration(n)*statementTimeEach),
	}
}

// patient are the bounds of a transaction that may take its time. It still waits briefly for locks: somebody else may need
// what it holds.
func (w *applyWorker) patient() bounds {
	return bounds{lock: w.pace.stretch(lockWait), statement: patientTime}
}

// options begin a transaction with these bounds, in one round trip. The commit has no bound: Postgres ends the statement's
// time before it waits for a synchronous standby.
func (b bounds) options() pgx.TxOptions {
	begin := "BEGIN ISOLATION LEVEL READ COMMITTED"
	if b.lock > 0 {
		begin += fmt.Sprintf("; SET LOCAL lock_timeout = %d", b.lock.Milliseconds())
	}
	if b.statement > 0 {
		begin += fmt.Sprintf("; SET LOCAL statement_timeout = %d", b.statement.Milliseconds())
	}
	return pgx.TxOptions{BeginQuery: begin}
}
