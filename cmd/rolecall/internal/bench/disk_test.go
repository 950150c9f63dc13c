package bench_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// diskDeliveries is how many deliveries [BenchmarkDisk] sends: each table then has hundreds of
// pages, so that single pages don't matter.
const diskDeliveries = 20_000

// BenchmarkDisk prints the table "Plan the disk" of docs/data.md: what a million deliveries that
// each add a member take, with their bodies and without. Bytes don't depend on how busy the
// machine is.
func BenchmarkDisk(b *testing.B) {
	s := &suite{binary: build(b)}
	url := pgtest.DurableURL(b)
	db := connect(b, url)
	c := startClerk(b)
	p, messages := s.serve(b, c, url), newJoins(b, c)
	spent := newCost(b, p, db)
	const callers = 8
	senders := newSenders(b, c, p.addr, callers)
	body := len(messages.next().Body)
	send := func(n int) {
		repeat(b, callers, n, func(caller int) error { return senders[caller].send(b.Context(), messages.next()) })
		untilApplied(b, db)
		until(b, db, "SELECT NOT EXISTS (SELECT FROM rolecall.unpublished)")
	}
	send(1000) // so that the first pages are there
	execute(b, db, "CHECKPOINT")
	began := walOf(b, db)
	send(diskDeliveries)
	wal := float64(walOf(b, db)-began) / diskDeliveries
	now, most := spent.memory(b)
	p.stop(b)

	fmt.Fprintf(os.Stdout, "\nbodies of %d bytes; WAL %.0f bytes a delivery; memory of the program: %s afterwards, %s at most\n\n", body, wal, now, most)
	fmt.Fprintf(os.Stdout, "| table | rows | of them, indexes |\n|---|---|---|\n")
	var rows float64
	require.NoError(b, db.QueryRow(b.Context(), "SELECT count(*)::float8 FROM rolecall.deliveries").Scan(&rows))
	report := func(what, table string) {
		execute(b, db, "VACUUM (FULL, ANALYZE) rolecall."+table) // as if autovacuum had reused all room
		var all, indexes float64
		require.NoError(b, db.QueryRow(b.Context(), "SELECT pg_total_relation_size($1::regclass)::float8, pg_indexes_size($1::regclass)::float8",
			"rolecall."+table).Scan(&all, &indexes))
		fmt.Fprintf(os.Stdout, "| %s | %.0f MB | %.0f MB |\n", what, all/rows, indexes/rows) // bytes a delivery are MB a million
	}
	report("deliveries with bodies", "deliveries")
	report("audit log", "audit_log")
	report("change feed", "changes")
	report("memberships", "memberships")
	execute(b, db, "UPDATE rolecall.deliveries SET body = NULL")
	report("deliveries without bodies", "deliveries")
}

func execute(b *testing.B, db *pgx.Conn, sql string) {
	b.Helper()
	_, err := db.Exec(b.Context(), sql)
	require.NoError(b, err)
}

// walOf returns how many bytes of WAL the server has written.
func walOf(b *testing.B, db *pgx.Conn) (bytes int64) {
	b.Helper()
	require.NoError(b, db.QueryRow(b.Context(), "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&bytes))
	return bytes
}
