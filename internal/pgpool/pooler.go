package pgpool

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Pooler says what is between a client and Postgres.
type Pooler string

// What can be told from outside.
const (
	PoolerNone        Pooler = "none"
	PoolerSession     Pooler = "session"     // a server for as long as the client is connected
	PoolerTransaction Pooler = "transaction" // a server for each transaction
)

// probes is how many transactions are opened beside a session, to see whether one of them is given its server.
const probes = 3

// guessPooler tells what is between. The key by which a client may cancel names the server's process: a pooler gives one of its
// own. A pooler for transactions then gives the server of an idle session to the next client.
func guessPooler(ctx context.Context, cfg *pgconn.Config, conn *pgconn.PgConn) (Pooler, error) {
	mine, err := serverPID(ctx, conn, "")
	if err != nil {
		return "", err
	}
	if mine == fmt.Sprint(conn.PID()) {
		return PoolerNone, nil
	}
	for range probes {
		other, err := pgconn.ConnectConfig(ctx, cfg)
		if err != nil {
			return "", fmt.Errorf("connect once more, to see what a pooler does: %w", err)
		}
		defer func() { _ = other.Close(context.WithoutCancel(ctx)) }() // it has nothing to lose
		theirs, err := serverPID(ctx, other, "BEGIN; ")
		if err != nil {
			return "", err
		}
		if theirs == mine {
			return PoolerTransaction, nil
		}
	}
	return PoolerSession, nil
}

func serverPID(ctx context.Context, conn *pgconn.PgConn, before string) (string, error) {
	results, err := conn.Exec(ctx, before+"SELECT pg_backend_pid()").ReadAll()
	if err != nil {
		return "", fmt.Errorf("ask for the server's process: %w", err)
	}
	return string(results[len(results)-1].Rows[0][0]), nil
}
