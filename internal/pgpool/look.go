package pgpool

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// seen is the result of one look at a session.
type seen struct {
	inRecovery, readOnly bool
	version              int
	serverEncoding       string
	clientEncoding       string
	isolation            string
	commits              string
	path                 string
	pid                  uint32 // of the server's process; unlike the cancel key, a pooler doesn't hide it
	direct               bool   // no pooler is between: one would give a cancel key of its own
	database, user       string
	identity             Identity
	flushed              uint64 // position in the WAL up to which all is on disk; 0 if not known
}

// The columns of a look, as text. A role without the right to ask for the identity asks without it.
const (
	lookColumns = `pg_is_in_recovery()::text, current_setting('default_transaction_read_only'),
		current_setting('server_version_num'), current_setting('server_encoding'), current_setting('client_encoding'),
		current_setting('default_transaction_isolation'), current_setting('synchronous_commit'), current_setting('search_path'),
		pg_backend_pid()::text, current_database()::text, current_user::text`
	// The timeline of the last file of the WAL. The checkpoint shows the old timeline for some
	// minutes after a promotion.
	timelineColumn = `CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8) END`
	flushedColumn  = `CASE WHEN pg_is_in_recovery() THEN '0' ELSE (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::text END`
	systemColumn   = `(SELECT system_identifier::text FROM pg_control_system())`
)

// telling is how much of its identity a server tells. Providers don't let their customers' roles
// call some of the functions for it.
type telling int32

const (
	tellsAll telling = iota
	tellsTimeline
	tellsNothing
)

// lookSQL asks for all that [seen] has.
func lookSQL(t telling) string {
	switch t {
	case tellsAll:
		return "SELECT " + lookColumns + ", " + systemColumn + ", " + timelineColumn + ", " + flushedColumn
	case tellsTimeline:
		return "SELECT " + lookColumns + ", '', " + timelineColumn + ", " + flushedColumn
	default:
		return "SELECT " + lookColumns + ", '', '', '0'"
	}
}

// look runs SQL whose last statement is a look, in one round trip.
func look(ctx context.Context, conn *pgconn.PgConn, sql string) (seen, error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return seen{}, fmt.Errorf("look at the session: %w", err)
	}
	if len(results) == 0 || len(results[len(results)-1].Rows) != 1 {
		return seen{}, errors.New("look at the session: it doesn't answer what was asked: is that Postgres?")
	}
	row := results[len(results)-1].Rows[0]
	text := func(i int) string { return string(row[i]) }
	s := seen{
		inRecovery: text(0) == "true", readOnly: text(1) == "on", serverEncoding: text(3), clientEncoding: text(4),
		isolation: text(5), commits: text(6), path: text(7), database: text(9), user: text(10),
		identity: Identity{System: text(11)},
	}
	var version, pid, timeline, flushed uint64
	for _, n := range []struct {
		into *uint64
		text string
		base int
	}{{&version, text(2), 10}, {&pid, text(8), 10}, {&timeline, "0" + text(12), 16}, {&flushed, text(13), 10}} {
		if *n.into, err = strconv.ParseUint(n.text, n.base, 64); err != nil {
			return seen{}, fmt.Errorf("look at the session: %w", err)
		}
	}
	s.version, s.pid = int(version), uint32(pid)
	s.identity.Timeline, s.flushed = uint32(timeline), flushed
	return s, nil
}
