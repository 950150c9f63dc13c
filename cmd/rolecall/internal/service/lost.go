package service

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
)

// namedLost is how many ids the log names of each kind of what was lost.
const namedLost = 10

// lookForAcknowledged reports whether the database has what was acknowledged from an instant on. If
// it lacks any of it, that is noted as a change of the database.
func (s *Service) lookForAcknowledged(ctx context.Context, since time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	lacks, err := s.acknowledged.Lacks(ctx, s.admins, since)
	if lacks {
		s.toNote(change{lacks: true, since: since})
	}
	return err == nil && !lacks
}

// noteLost finds what this process acknowledged and the database lacks, notes it there, and says
// so. It reports success. If another process noticed the failover earlier, its sweep may have begun
// before this one acknowledged the last of it, at the old server: a further sweep follows then.
func (s *Service) noteLost(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	all, err := s.acknowledged.FindLost(ctx, s.work)
	if err == nil && len(all) > 0 {
		err = pgx.BeginFunc(ctx, s.work, func(tx pgx.Tx) error {
			sweeps := false
			for _, lost := range all {
				late, err := store.NoteLost(ctx, tx, lost.Kind, lost.Missing, lost.More)
				if err != nil {
					return err
				}
				sweeps = sweeps || late
			}
			if !sweeps {
				return nil
			}
			return jobs.SweepAfterFailover(ctx, tx)
		})
	}
	if err != nil {
		if ctx.Err() == nil {
			s.logger.WarnContext(ctx, "what the database lacks isn't noted: trying again", "error", err)
		}
		return false
	}
	s.tellLost(ctx, all)
	s.health.Forget()
	return true
}

// tellLost counts what was lost, and logs it in one line, unless an earlier change lost it.
func (s *Service) tellLost(ctx context.Context, all []jobs.Lost) {
	fresh := 0
	var attrs []any
	for _, lost := range all {
		n := s.acknowledged.MarkLost(lost)
		s.metrics.lost.WithLabelValues(string(lost.Kind)).Add(float64(n))
		fresh += n
		var ids []string
		for _, m := range lost.Missing[max(0, len(lost.Missing)-namedLost):] {
			ids = append(ids, m.ID)
		}
		attrs = append(attrs, slog.Group(string(lost.Kind), "count", len(lost.Missing), "at_least", lost.More,
			"first_at", lost.Missing[0].At, "last_at", lost.Missing[len(lost.Missing)-1].At, "newest_ids", ids))
	}
	if fresh > 0 {
		s.logger.ErrorContext(ctx, "the database lacks what this process acknowledged", attrs...)
	}
}
