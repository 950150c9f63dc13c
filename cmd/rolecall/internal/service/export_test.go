package service

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/jobs/sweep"
)

// This file exports internals to package service_test.

// Limits that tests use.
const (
	KeysPatience      = keysPatience
	MaxLogKinds       = maxLogKinds
	ReadHeaderTimeout = readHeaderTimeout
)

// Functions that can be tested without a whole service.
var (
	ClosePool   = closePool
	Connections = connections
	LogSlow     = logSlow
	RetentionOf = retention
)

// Pools are the pools of a running service; nil where the process doesn't need one.
type Pools struct {
	Accept, Read, Events, Changes pgpool.DB
	Work, Queue, Admins           *pgxpool.Pool
}

// Pools returns what the service has opened.
func (s *Service) Pools() Pools {
	return Pools{s.accept, s.read, s.events, s.changes, s.work, s.queue, s.admins}
}

// AtStop adds a step that runs first when the service stops.
func (s *Service) AtStop(step func(context.Context) error) { s.cleanup.Add("probe", step) }

// Lockout returns the service's lockout of users.
func (s *Service) Lockout() *auth.Lockout { return s.lockout() }

// OthersAnswer asks through every URL but that of the admin pool.
func (s *Service) OthersAnswer(ctx context.Context) error { return s.othersAnswer(ctx) }

// Sweeper returns the sweeper.
func (s *Service) Sweeper() (*sweep.Sweeper, error) { return s.sweeper() }

// LimitLog limits a log as a service does. away tells it whether the database is away.
func LimitLog(next slog.Handler) (limited slog.Handler, away func(bool)) {
	limited, kinds := limitLog(next)
	return limited, kinds.setAway
}
