package service

import (
	"context"
	"time"

	"github.com/callmine/rolecall/internal/pgpool"
)

// lookAtOtherHosts looks again and again whether another host of the URL was promoted while the one
// that leads goes on. Each look takes one short session from each of them.
func (s *Service) lookAtOtherHosts(ctx context.Context) {
	c := opener{cfg: s.cfg, lineage: s.lineage}.config("admin")
	if hosts, err := pgpool.Hosts(c.URL); err != nil || len(hosts) == 1 {
		return
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			within, cancel := context.WithTimeout(ctx, adminWithin)
			pgpool.LookAtOthers(within, c)
			cancel()
		}
	}
}
