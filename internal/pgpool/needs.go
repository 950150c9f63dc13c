package pgpool

import (
	"strconv"
	"time"
)

// Needs says what sessions are for. The zero value needs only a primary, which may turn out to be
// read-only.
type Needs struct {
	// Write refuses sessions that can't write.
	Write bool
	// ReadOnly makes the sessions unable to write, even if a request tampers with a query.
	ReadOnly bool
	// AsyncCommit lets a crash of Postgres lose the last commits. Without it, commits are on disk,
	// whatever the role or database sets.
	AsyncCommit bool
	// ByKey is for sessions whose statements find rows by keys, however many keys they are given.
	// Postgres plans each of them once, to use an index. Without ByKey, Postgres may plan such a
	// statement again for each list of keys. Or it keeps the plan that it made while the table was
	// small, which reads the whole table. On a new database, that halved the throughput of the
	// workers for minutes.
	ByKey bool
	// LockTimeout ends a statement that waits for a lock. 0 waits as long as the caller does.
	LockTimeout time.Duration
	// StatementTimeout ends a statement whose caller has disappeared. 0 for none.
	StatementTimeout time.Duration
}

const (
	// idleInTransaction frees the locks of a process that hangs in the middle of a transaction.
	// Rolecall's transactions wait for nothing but Postgres.
	idleInTransaction = time.Minute
	// path finds Postgres' own functions first, and no other objects by chance. Rolecall's SQL
	// names its schema everywhere.
	path = "pg_catalog, pg_temp"
)

// setting is a parameter of a session and the SQL expression of its value.
type setting struct{ name, value string }

// settings are the parameters that a session must have, whatever role, database and URL set.
func (n Needs) settings() []setting {
	all := []setting{
		{"client_encoding", "'UTF8'"},
		{"standard_conforming_strings", "'on'"},
		{"default_transaction_isolation", "'read committed'"},
		{"search_path", "'" + path + "'"},
		{"datestyle", "'ISO, MDY'"},
		{"timezone", "'UTC'"},
		{"bytea_output", "'hex'"},
		{"transform_null_equals", "'off'"},
		{"lock_timeout", inMillis(n.LockTimeout)},
		{"statement_timeout", inMillis(n.StatementTimeout)},
		{"idle_in_transaction_session_timeout", inMillis(idleInTransaction)},
		{"idle_session_timeout", "'0'"},
		{"synchronous_commit", n.commits()},
		{"jit", "'off'"}, // compiling a list of the console took seconds, and running it milliseconds
	}
	if n.ByKey {
		all = append(all, setting{"plan_cache_mode", "'force_generic_plan'"}, setting{"enable_seqscan", "'off'"})
	}
	if n.ReadOnly {
		all = append(all, setting{"default_transaction_read_only", "'on'"})
	}
	return all
}

// commits is the value of synchronous_commit. A stricter value of the role or database stays.
func (n Needs) commits() string {
	if n.AsyncCommit {
		return "'off'"
	}
	return "CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END"
}

func inMillis(d time.Duration) string { return "'" + strconv.FormatInt(d.Milliseconds(), 10) + "'" }
