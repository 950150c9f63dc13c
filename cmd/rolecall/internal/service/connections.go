package service

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/pgpool"
)

// connections decides how many connections a process opens at most, and what each pool gets of
// them: as many as it is told, or as usual, but no more than the role may, with a few left for
// others.
func connections(ctx context.Context, cfg config.Config, which config.Parts, report pgpool.Report, logger *slog.Logger) (map[string]int, error) {
	told, by, err := cfg.LimitOf()
	if err != nil {
		return nil, err
	}
	limit := told
	switch {
	case told == 0 && report.Pooler == pgpool.PoolerSession:
		limit = config.PoolerConns
		logger.InfoContext(ctx, "a pooler is between: no more connections than pgbouncer has servers by default. "+
			"ROLECALL_MAX_CONNECTIONS says how many it has for this process", "connections", limit)
	case told == 0:
		limit = config.UsualOf(which)
	}
	if allowed := report.Limit - config.SpareConns; report.Limiter != "" && limit > allowed {
		logger.WarnContext(ctx, "Postgres allows fewer connections than this process would open: it opens as many as fit, less two for others",
			"connections", allowed, "wanted", limit, "limited_by", report.Limiter, "limit", report.Limit)
		limit, by = allowed, fmt.Sprintf("the limit of %s, %d, less %d for others", report.Limiter, report.Limit, config.SpareConns)
	}
	sizes, err := pgpool.Split(limit, config.Shares(which), config.ExtraPool(which))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", by, err)
	}
	return sizes, nil
}

// inspect looks at the database before any pool is opened, refuses what can't serve, and warns of
// what may lose data.
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
		logger.WarnContext(ctx, "Postgres may lose what it has committed, or its whole data, in a crash: set fsync and full_page_writes to on",
			"fsync", report.Fsync, "full_page_writes", report.FullPages)
	}
	return report, nil
}
