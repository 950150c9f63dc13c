package pgpool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DB is implemented by [Pool] and [PerTransaction].
type DB interface {
	Begin(ctx context.Context) (pgx.Tx, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	// Snapshot runs read in a read-only transaction in which all statements see one moment.
	Snapshot(ctx context.Context, read func(tx pgx.Tx) error) error
	// Acquired counts how often a connection was handed out: it grows as long as Postgres answers.
	Acquired() int64
	Close()
}

// PerTransaction is a pool through a pooler that gives a server to each transaction. Each statement
// is a transaction of its own, in one round trip. What a session must have is set at the beginning
// of the transaction, and a wrong server is refused there. No statement is prepared under a name.
type PerTransaction struct {
	pool     *pgxpool.Pool
	sessions *sessions
	settings string // SQL that sets what the transaction needs
}

// OpenPerTransaction returns a pool through such a pooler. No connection is opened yet.
func OpenPerTransaction(ctx context.Context, c Config) (*PerTransaction, error) {
	c = c.withDefaults()
	cfg, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("%s %w", c.Setting, ErrURL)
	}
	p := &PerTransaction{sessions: c.install(cfg.ConnConfig)}
	p.sessions.lastsNot = true
	p.settings = setSQL(append(p.sessions.parameters, local(c.Needs)...), "true")
	c.hook(cfg, p.sessions)
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	cfg.ConnConfig.StatementCacheCapacity = 0
	if p.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open pool %s: %w", c.Name, err)
	}
	return p, nil
}

// local are the settings of one transaction. The statement that begins it sets its isolation and
// whether it may write.
func local(n Needs) []setting {
	var all []setting
	for _, s := range n.settings() {
		if !strings.HasPrefix(s.name, "default_transaction_") && s.name != "client_encoding" { // a pooler keeps it for each client
			all = append(all, s)
		}
	}
	return all
}

// Close ends all connections.
func (p *PerTransaction) Close() { p.pool.Close() }

// Acquired counts how often a connection was handed out.
func (p *PerTransaction) Acquired() int64 { return p.pool.Stat().AcquireCount() }

// Stat returns the pool's statistics.
func (p *PerTransaction) Stat() *pgxpool.Stat { return p.pool.Stat() }

// beginSnapshot is the statement that begins the transaction of a snapshot.
const beginSnapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

// begin is the statement that begins a transaction.
func (p *PerTransaction) begin() string {
	if p.sessions.Needs.ReadOnly {
		return "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
	}
	return "BEGIN ISOLATION LEVEL READ COMMITTED"
}

const (
	// Parameters that don't exist. Reading one is an error, which ends a transaction on a server
	// that must not answer.
	inRecoveryParameter    = "rolecall.the_server_is_in_recovery"
	otherTimelineParameter = "rolecall.the_server_is_on_another_timeline"
	undefinedParameter     = "42704" // SQLSTATE
)

// assure gives the transaction what it needs, and fails on a server in recovery or on another
// timeline than the known one.
func (p *PerTransaction) assure() string {
	otherTimeline := ""
	if known := p.sessions.Lineage.Known(); known.Timeline != 0 && telling(p.sessions.telling.Load()) != tellsNothing {
		otherTimeline = fmt.Sprintf(" WHEN substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8) <> '%08X' THEN current_setting('%s')",
			known.Timeline, otherTimelineParameter)
	}
	return p.settings + fmt.Sprintf(", CASE WHEN pg_is_in_recovery() THEN current_setting('%s')%s END", inRecoveryParameter, otherTimeline)
}

// Begin begins a transaction.
func (p *PerTransaction) Begin(ctx context.Context) (tx pgx.Tx, err error) {
	err = p.again(ctx, func() error {
		tx, err = p.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: p.begin() + "; " + p.assure()})
		return err
	})
	return tx, err
}

// Snapshot implements [DB].
func (p *PerTransaction) Snapshot(ctx context.Context, read func(tx pgx.Tx) error) error {
	return p.again(ctx, func() error {
		return pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{BeginQuery: beginSnapshot + "; " + p.assure()}, read)
	})
}

// Exec runs a statement.
func (p *PerTransaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	rows, err := p.Query(ctx, sql, args...)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	rows.Close()
	return rows.CommandTag(), rows.Err()
}

// QueryRow runs a statement that gives at most one row.
func (p *PerTransaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := p.Query(ctx, sql, args...)
	return oneRow{rows, err}
}

// Query runs a statement.
func (p *PerTransaction) Query(ctx context.Context, sql string, args ...any) (rows pgx.Rows, err error) {
	err = p.again(ctx, func() error { rows, err = p.query(ctx, sql, args); return err }) //nolint:sqlclosecheck // the caller's
	return rows, err
}

func (p *PerTransaction) query(ctx context.Context, sql string, args []any) (pgx.Rows, error) {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	batch := &pgx.Batch{}
	batch.Queue(p.begin())
	batch.Queue(p.assure())
	batch.Queue(sql, args...)
	batch.Queue("COMMIT")
	b := &pipelined{conn: conn, results: conn.SendBatch(ctx, batch)}
	for range 2 {
		if _, err := b.results.Exec(); err != nil {
			_ = b.end(ctx) // the same error
			return nil, err
		}
	}
	rows, err := b.results.Query()
	if err != nil {
		_ = b.end(ctx) // the same error
		return nil, err
	}
	return &lastRows{Rows: rows, end: func() error { return b.end(ctx) }}, nil
}

// SendBatch runs statements in one transaction.
func (p *PerTransaction) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	tx, err := p.Begin(ctx)
	if err != nil {
		return failedBatch{err}
	}
	return committing{tx.SendBatch(ctx, b), ctx, tx}
}

// again tries once more after another look if the server must not answer, because the pooler may
// then lead to another server.
func (p *PerTransaction) again(ctx context.Context, try func() error) error {
	err := patiently(ctx, try)
	if !mustNotAnswer(err) {
		return err
	}
	if err := p.lookAgain(ctx); err != nil {
		return err
	}
	if err = patiently(ctx, try); mustNotAnswer(err) {
		return refuse(ReasonInRecovery, "the pooler leads to a server in recovery, or on another timeline than others that it leads to: %v", err)
	}
	return err
}

// mustNotAnswer reports whether a transaction was ended because of its server.
func mustNotAnswer(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == undefinedParameter &&
		(strings.Contains(refused.Message, otherTimelineParameter) || strings.Contains(refused.Message, inRecoveryParameter))
}

// lookAgain looks at the present server behind the pooler.
func (p *PerTransaction) lookAgain(ctx context.Context) error {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return Explain(err)
	}
	defer conn.Release()
	_, err = p.sessions.look(ctx, conn.Conn().PgConn(), "", p.sessions.judgeNow)
	return err
}
