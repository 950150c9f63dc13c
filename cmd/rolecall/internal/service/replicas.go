package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/internal/replica"
)

const (
	// replicaConnect bounds opening a session with a replica, or the one that writes pulses on the
	// primary: the primary, or the next try, is better than waiting.
	replicaConnect = time.Second
	// replicaStatement ends a statement of a frozen process. What takes so long doesn't count.
	replicaStatement = 2 * time.Second
)

// openReplicas opens the pools of replicas, if there are any. A replica may be down. One that can
// never answer, because it is of another database or no replica, is refused.
func (s *Service) openReplicas(ctx context.Context, o opener, which config.Parts) error {
	if !s.cfg.UsesReplicas(which) {
		return nil
	}
	primary, err := o.session(ctx, "pulses")
	if err != nil {
		return err
	}
	c := replica.Config{Primary: primary, MaxLag: s.cfg.ReplicaMaxLag, Logger: s.logger}
	var errs []error
	for _, url := range s.cfg.ReplicaURLs {
		source, err := o.replica(ctx, url)
		if err != nil {
			return err
		}
		c.Replicas = append(c.Replicas, source)
		wrong, away := database.CheckReplica(ctx, source.Looks, s.admins)
		if wrong != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", config.ReplicaSetting(), source.Name, wrong))
		}
		if away != nil {
			s.logger.WarnContext(ctx, "the replica can't answer: the primary does until it can", "replica", source.Name, "error", pgpool.Explain(away))
		}
	}
	s.replicaSources = c
	return errors.Join(errs...)
}

// startReplicas begins to read from replicas, if there are any. The database is noted by then.
func (s *Service) startReplicas(ctx context.Context) (err error) {
	if s.replicaSources.Primary == nil {
		return nil
	}
	if s.replicas, err = replica.Start(ctx, s.replicaSources); err != nil {
		return err
	}
	s.metrics.registry.MustRegister(newReplicaCollector(s.replicas))
	s.cleanup.Add("replicas", func(context.Context) error { s.replicas.Stop(); return nil })
	return nil
}

// replica opens the pools of a replica.
func (o opener) replica(ctx context.Context, url string) (source replica.Source, err error) {
	source.Name = config.ReplicaName(url)
	c := pgpool.Config{
		URL: url, Setting: config.ReplicaSetting(), Name: "rolecall replica", MaxConns: config.ReplicaConns, Tracer: o.tracer,
		Needs:  pgpool.Needs{ReadOnly: true, ByKey: true, StatementTimeout: replicaStatement},
		Copies: o.lineage, Within: replicaConnect,
	}
	if source.Pool, err = pgpool.Open(ctx, c); err != nil {
		return source, err
	}
	o.keep("replica "+source.Name, source.Pool)
	c.Name, c.MaxConns, c.Tracer = "rolecall looks", 1, nil
	if source.Looks, err = pgpool.Open(ctx, c); err != nil {
		return source, err
	}
	o.cleanup.Add("looks at "+source.Name, func(ctx context.Context) error { return closePool(ctx, source.Looks) })
	return source, nil
}
