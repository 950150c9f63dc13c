package merge

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bounds are limits of one transaction that the database enforces, so that its connection outlives
// them. 0 keeps the session's own limit.
type Bounds struct {
	Lock      time.Duration // how long it waits for each lock
	Statement time.Duration // how long each of its statements may take
}

// Options begin a transaction with these bounds, in one round trip. The commit has no bound:
// Postgres ends the statement's time before it waits for a synchronous standby. A pooler's pool
// begins transactions in its own way; see [Pool].
func (b Bounds) Options() pgx.TxOptions {
	begin := "BEGIN ISOLATION LEVEL READ COMMITTED"
	if b.Lock > 0 {
		begin += fmt.Sprintf("; SET LOCAL lock_timeout = %d", b.Lock.Milliseconds())
	}
	if b.Statement > 0 {
		begin += fmt.Sprintf("; SET LOCAL statement_timeout = %d", b.Statement.Milliseconds())
	}
	return pgx.TxOptions{BeginQuery: begin}
}
