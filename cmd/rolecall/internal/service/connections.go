package service

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/pgpool"
)

// connections returns the size of each pool. Together they are the configured limit, or else the
// default. If Postgres allows fewer, they are what it allows less a few for others.
func connections(ctx context.Context, cfg config.Config, which config.Parts, report pgpool.Report, logger *slog.Logger) (map[string]int, error) {
	configured, by, err := cfg.LimitOf()
	if err != nil {
		return nil, err
	}
	limit := configured
	switch {
	case configured == 0 && report.Pooler == pgpool.PoolerSession:
		limit = config.PoolerConns
		logger.InfoContext(ctx, "there is a session pooler: this process opens no more connections than pgbouncer has servers by default. "+
			"Set ROLECALL_MAX_CONNECTIONS to the number of servers that the pooler has for this process", "connections", limit)
	case configured == 0:
		limit = cfg.Usual(which)
	}
	if allowed := report.Limit - config.SpareConns; report.Limiter != "" && limit > allowed {
		logger.WarnContext(ctx, "Postgres allows fewer connections than this process would open: it opens as many as fit, less two for others",
			"connections", allowed, "wanted", limit, "limited_by", report.Limiter, "limit", report.Limit)
		limit, by = allowed, fmt.Sprintf("the limit of %s, %d, less %d for others", report.Limiter, report.Limit, config.SpareConns)
	}
	sizes, err := pgpool.Split(limit, cfg.Shares(which), config.ExtraPool(which))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", by, err)
	}
	return sizes, nil
}

// inspect examines the database before any pool is opened. It refuses a database that can't serve,
// and warns of one that may lose data.
func inspect(ctx context.Context, cfg config.Config, logger *slog.Logger) (pgpool.Report, error) {
	report, err := pgpool.Inspect(ctx, pgpool.Config{URL: cfg.DirectURL(), Setting: cfg.DirectSetting(), Name: "rolecall start"})
	if err != nil {
		return report, err
	}
	if err := report.Lasting(); err != nil {
		return report, err
	}
	if report.Pooler == pgpool.PoolerTransaction {
		return report, cfg.NeedsDirect()
	}
	if !report.Fsync || !report.FullPages {
		logger.WarnContext(ctx, "Postgres may lose committed data, or all data, in a crash: set fsync and full_page_writes to on",
			"fsync", report.Fsync, "full_page_writes", report.FullPages)
	}
	return report, nil
}
