package doctor

import (
	"context"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/pgpool"
)

// replicas examines each replica: whether it is one of the primary.
func (d *doctor) replicas(ctx context.Context) (found []Finding) {
	if !d.cfg.UsesReplicas(d.which) || d.cfg.DirectURL() == "" {
		return nil
	}
	primary := pgpool.Config{URL: d.cfg.DirectURL(), Setting: d.cfg.DirectSetting(), Name: "rolecall doctor", MaxConns: 1}
	report, err := pgpool.Inspect(ctx, primary)
	if err != nil || report.InRecovery {
		return nil // another check says so
	}
	lineage := pgpool.NewLineage(nil)
	lineage.Learn(report.Identity)
	pool, err := pgpool.Open(ctx, primary)
	if err != nil {
		return nil // another check says so
	}
	defer pool.Close()
	for _, url := range d.cfg.ReplicaURLs {
		if config.CheckDatabaseURL(config.ReplicaSetting(), url) == nil {
			found = append(found, timed(ctx, func(ctx context.Context) []Finding {
				return d.replica(ctx, url, lineage, pgpool.Pool{Pool: pool})
			})...)
		}
	}
	return found
}

func (d *doctor) replica(ctx context.Context, url string, lineage *pgpool.Lineage, primary pgpool.Pool) []Finding {
	setting, name := config.ReplicaSetting(), config.ReplicaName(url)
	pool, err := pgpool.Open(ctx, pgpool.Config{URL: url, Setting: setting, Name: "rolecall doctor", MaxConns: 1, Copies: lineage, Needs: pgpool.Needs{ReadOnly: true}})
	if err != nil {
		return []Finding{bad(setting, "correct it", "%v", err)}
	}
	defer pool.Close()
	wrong, away := database.CheckReplica(ctx, pgpool.Pool{Pool: pool}, primary)
	switch {
	case wrong != nil:
		return []Finding{bad(setting, "name a streaming replica of the primary, or leave it out: serve won't start", "%s: %v", name, wrong)}
	case away != nil:
		return []Finding{doubtful(setting, "see whether it runs and follows the primary: until it does, the primary answers", "%s: %v", name, pgpool.Explain(away))}
	default:
		return []Finding{fine(setting, "%s is a streaming replica of the primary", name)}
	}
}
