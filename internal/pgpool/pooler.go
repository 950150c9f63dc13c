package pgpool

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Pooler names what is between a client and Postgres.
type Pooler string

// The poolers that can be told apart from outside.
const (
	PoolerNone        Pooler = "none"
	PoolerSession     Pooler = "session"     // a server for as long as the client is connected
	PoolerTransaction Pooler = "transaction" // a server for each transaction
)

const (
	// rounds is how often a probe holds a server while the session is asked again. A pooler for
	// transactions with many servers and many clients may give the session the same one several
	// times.
	rounds = 10
	// probeFor bounds a whole probe: a pooler whose servers are all taken makes the probe wait.
	probeFor = 2 * time.Second
)

// guessPooler returns which pooler is between the client and Postgres. A direct client has a cancel
// key that names the server's process, and a pooler gives a key of its own. A direct session, or
// one of a pooler for sessions, always keeps its server. A pooler for transactions gives the server
// of an idle session to others. While a probe holds that server, the session gets another one.
func guessPooler(ctx context.Context, cfg *pgconn.Config, conn *pgconn.PgConn) (Pooler, error) {
	mine, err := serverPID(ctx, conn, "")
	if err != nil {
		return "", err
	}
	if mine == strconv.FormatUint(uint64(conn.PID()), 10) {
		return PoolerNone, nil
	}
	shared, err := probe(ctx, cfg, func(held string) (bool, error) {
		if held == mine {
			return true, nil
		}
		now, err := serverPID(ctx, conn, "")
		return now != mine, err
	})
	switch {
	case err != nil:
		return "", err
	case shared:
		return PoolerTransaction, nil
	}
	return PoolerSession, nil
}

// probe takes one more connection, holds a server with it again and again, and calls a function for
// each held server. A probe that gets no server in time ends with one more call.
func probe(ctx context.Context, cfg *pgconn.Config, look func(held string) (bool, error)) (shared bool, err error) {
	short, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	other, err := pgconn.ConnectConfig(short, cfg)
	if err != nil {
		return look("")
	}
	defer func() { _ = other.Close(context.WithoutCancel(ctx)) }() // it has nothing to lose
	for range rounds {
		held, err := serverPID(short, other, "BEGIN; ")
		if noTransactions(err) {
			return true, nil
		}
		if shared, lookErr := look(held); err != nil || shared || lookErr != nil {
			return shared, lookErr
		}
		if _, err := other.Exec(short, "ROLLBACK").ReadAll(); err != nil {
			return look("")
		}
	}
	return false, nil
}

// noTransactions recognizes the error of a pooler that gives a server to each statement. It has no
// SQLSTATE of its own.
func noTransactions(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.Contains(refused.Message, "statement pooling")
}

func serverPID(ctx context.Context, conn *pgconn.PgConn, before string) (string, error) {
	results, err := conn.Exec(ctx, before+"SELECT pg_backend_pid()").ReadAll()
	if err != nil {
		return "", fmt.Errorf("ask for the server's process: %w", err)
	}
	return string(results[len(results)-1].Rows[0][0]), nil
}
