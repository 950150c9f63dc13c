package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/callmine/rolecall/internal/pgpool"
)

// connections decides how many connections a process opens at most, and what each pool gets of them: as many as it is told, or as
// usual, but no more than the role may, with a few left for others.
func (c config) connections(ctx context.Context, which parts, report pgpool.Report, logger *slog.Logger) (map[string]int, error) {
	told, by, err := c.limitOf()
	if err != nil {
		return nil, err
	}
	limit := told
	switch {
	case told == 0 && report.Pooler == pgpool.PoolerSession:
		limit = poolerConns
		logger.InfoContext(ctx, "a pooler is between: no more connections than pgbouncer has servers by default. "+
			"ROLECALL_MAX_CONNECTIONS says how many it has for this process", "connections", limit)
	case told == 0:
		limit = usualOf(which)
	}
	if allowed := report.Limit - spareConns; report.Limiter != "" && limit > allowed {
		logger.WarnContext(ctx, "Postgres allows fewer connections than this process would open: it opens as many as fit, less two for others",
			"connections", allowed, "wanted", limit, "limited_by", report.Limiter, "limit", report.Limit)
		limit, by = allowed, fmt.Sprintf("the limit of %s, %d, less %d for others", report.Limiter, report.Limit, spareConns)
	}
	sizes, err := pgpool.Split(limit, shares(which), extraPool(which))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", by, err)
	}
	return sizes, nil
}

// usualOf is how many connections the sides of a process have by default.
func usualOf(which parts) (n int) {
	for _, s := range shares(which) {
		n += s.Usual
	}
	return n
}

// workersFor is how many jobs run at once that take no access away. More connections make no more of them: in a trial, 18 workers took
// half as long again as 8 until a removal behind a backlog was enforced, as they wait for each other's locks.
func workersFor(sizes map[string]int) int {
	return min(workers, max(1, workers*sizes["work"]/workConns))
}

// extraPool gets what is above the usual sizes.
func extraPool(which parts) string {
	if which.web {
		return "read"
	}
	return "work"
}

// inspect looks at the database before any pool is opened, refuses what can't serve, and warns of what may lose data.
func (c config) inspect(ctx context.Context, logger *slog.Logger) (pgpool.Report, error) {
	report, err := pgpool.Inspect(ctx, pgpool.Config{URL: c.directURL(), Setting: c.directSetting(), Name: "rolecall start"})
	if err != nil {
		return report, err
	}
	if err := report.Lasting(); err != nil {
		return report, err
	}
	if report.Pooler == pgpool.PoolerTransaction {
		return report, c.needsDirect()
	}
	if !report.Fsync || !report.FullPages {
		logger.WarnContext(ctx, "Postgres may lose what it has committed, or its whole data, in a crash: set fsync and full_page_writes to on",
			"fsync", report.Fsync, "full_page_writes", report.FullPages)
	}
	return report, nil
}

// needsDirect says what a pooler for transactions lacks.
func (c config) needsDirect() error {
	if c.pooled() {
		return errors.New("ROLECALL_DIRECT_DATABASE_URL leads to a pooler that gives a server to each transaction: " +
			"it must lead to Postgres itself, or to a pooler for sessions")
	}
	return errors.New("DATABASE_URL leads to a pooler that gives a server to each transaction, which can't listen or hold a lock: " +
		"set ROLECALL_DIRECT_DATABASE_URL to a URL of Postgres itself; DATABASE_URL may stay as it is")
}
