package merge

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bounds are limits of one transaction. The database enforces them, so that the connection stays
// usable after one is exceeded. 0 keeps the session's own limit.
type Bounds struct {
	Lock      time.Duration // how long it waits for each lock
	Statement time.Duration // how long each of its statements may take
}

// Options begin a transaction with these bounds, in one round trip. The commit has no bound:
// Postgres stops statement_timeout before it waits for a synchronous standby. A pool on a pooler
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
