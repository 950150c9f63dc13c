package store

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pipeline is a sequence of statements that Postgres gets in one round trip, and runs one after the
// other. Under load, round trips cost more than the statements. The first statement that fails ends
// the pipeline. Its zero value is empty.
type pipeline struct{ batch pgx.Batch }

// query adds a query whose rows go to found, in order.
func query[R any](p *pipeline, sql string, found func(R) error, args ...any) {
	p.batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		read, err := pgx.CollectRows(rows, pgx.RowToStructByPos[R])
		for _, row := range read {
			if err == nil {
				err = found(row)
			}
		}
		return err
	})
}

// exec adds a statement. done gets the number of rows that it wrote; nil ignores it.
func (p *pipeline) exec(sql string, done func(rows int64) error, args ...any) {
	queued := p.batch.Queue(sql, args...)
	if done != nil {
		queued.Exec(func(tag pgconn.CommandTag) error { return done(tag.RowsAffected()) })
	}
}

// run sends the statements, and returns once all of them have run. An empty pipeline sends nothing.
func (p *pipeline) run(ctx context.Context, db DBTX) error {
	if p.batch.Len() == 0 {
		return nil
	}
	return db.SendBatch(ctx, &p.batch).Close()
}
