package pgpool

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// endSQL ends the server of the session that runs it, which any role may.
const endSQL = "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())"

// LookWhereItLeads opens a session to the present server of a pool's URL, so that the lineage
// learns of it. A direct session is always with that server. A pooler for sessions keeps servers,
// also of an old primary, and gives them to new clients. So each kept server that is older than
// fresh is thrown away, until the pooler opens a new one.
func LookWhereItLeads(ctx context.Context, pool *pgxpool.Pool, fresh time.Duration) error {
	thrown := ""
	for {
		var conn *pgxpool.Conn
		err := patiently(ctx, func() (err error) { conn, err = pool.Acquire(ctx); return err })
		if err != nil {
			return Explain(err)
		}
		pid, isFresh, err := throwAway(ctx, conn.Conn().PgConn(), fresh, thrown)
		conn.Release()
		if err != nil || isFresh {
			return err
		}
		thrown = pid
	}
}

// throwAway makes a pooler end the server of a session, and reports whether it was fresh. pgbouncer
// ends a server whose client leaves in the middle of a transaction, and no log mentions it. If a
// pooler gives the same server again, Postgres has to end it, and its log mentions that.
func throwAway(ctx context.Context, conn *pgconn.PgConn, fresh time.Duration, thrown string) (pid string, isFresh bool, err error) {
	pid, isFresh, err = serverAge(ctx, conn, fresh)
	if err != nil || pid == strconv.FormatUint(uint64(conn.PID()), 10) {
		return pid, true, err
	}
	sql := "BEGIN"
	if pid == thrown {
		sql = endSQL
	}
	_, _ = conn.Exec(ctx, sql).ReadAll() // where it fails, the session ends as well
	_ = conn.Close(ctx)                  // it is thrown away
	return pid, isFresh, nil
}

// serverAge returns the process of a session's server, and whether it began less than fresh ago.
func serverAge(ctx context.Context, conn *pgconn.PgConn, fresh time.Duration) (pid string, isFresh bool, err error) {
	results, err := conn.Exec(ctx, fmt.Sprintf("SELECT pid, clock_timestamp() - backend_start < interval '%d milliseconds' "+
		"FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()", fresh.Milliseconds())).ReadAll()
	if err != nil {
		return "", false, fmt.Errorf("ask for the age of the server: %w", err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return "", true, nil
	}
	row := results[0].Rows[0]
	return string(row[0]), string(row[1]) == "t", nil
}
