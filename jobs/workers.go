package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"go.opentelemetry.io/otel/trace"

	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/migrations"
	clerksync "github.com/callmine/rolecall/sync"
)

// River's defaults are made for jobs of minutes. Ours take milliseconds, and a user's access waits
// for them.
const (
	// fetchCooldown is the least time from one fetch of jobs to the next. Under load, jobs gather
	// meanwhile; the first job after a pause is fetched at once.
	fetchCooldown = 5 * time.Millisecond
	// applyCooldown is the same for QueueApply, whose jobs take no access away. The jobs that gather
	// share a transaction, which costs as much as a dozen deliveries.
	applyCooldown = 12 * time.Millisecond
	// fetchPollInterval is how long a job waits at most if its wake-up is lost.
	fetchPollInterval = 100 * time.Millisecond
	// upkeepPollInterval is the same for upkeep and sweeps, which no user waits for.
	upkeepPollInterval = time.Second
	// applyTimeout bounds a transaction that applies deliveries. It is far above the usual time,
	// and above the bounds of brief transactions (see bounds.go).
	applyTimeout = 3 * time.Second
	// jobTimeout leaves time for trying deliveries one by one. A job that runs longer belongs to a
	// dead process.
	jobTimeout = 10 * time.Second
	// rescueAfter must be above jobTimeout. Taking over is faster, see takeover.go.
	rescueAfter = 20 * time.Second
	// softStop is how long running jobs may continue once stopping began; then they are given back.
	softStop = 5 * time.Second
)

// WorkersConfig configures [Workers].
type WorkersConfig struct {
	// Pool is where deliveries are applied. It should not be the inbox's. With 19 connections, no job
	// waits for one.
	Pool *pgxpool.Pool
	// Queue is where River fetches jobs, listens and does its upkeep. It may commit asynchronously:
	// what a crash of the database loses is done again. Defaults to Pool.
	Queue *pgxpool.Pool
	// Tracers makes the spans of jobs whose deliveries came with traced requests. Optional.
	Tracers trace.TracerProvider
	// Logger gets warnings, errors and quarantined deliveries.
	Logger *slog.Logger
	// Retention says how long records are kept. Its zero value keeps them for ever.
	Retention Retention
	// Pruned is called with the number of rows that were forgotten together. Optional.
	Pruned func(kind Prunable, rows int)
	// Ended is called with the state in which each delivery ended, and how long it had waited since
	// its receipt or its last replay. Optional.
	Ended func(state clerksync.State, waited time.Duration)
	// ID is what River calls this process; at most 100 characters. Defaults to an id that River makes.
	ID string
	// Sweeper compares the mirror with Clerk, each SweepInterval, at the start, and soon after
	// roles changed. Optional.
	Sweeper *sweep.Sweeper
	// SweepInterval is the time from one sweep to the next. 0 leaves only the sweeps after a change
	// of roles or a failover.
	SweepInterval time.Duration
}

func (c WorkersConfig) withDefaults() WorkersConfig {
	if c.Queue == nil {
		c.Queue = c.Pool
	}
	if c.Ended == nil {
		c.Ended = func(clerksync.State, time.Duration) {}
	}
	if c.Pruned == nil {
		c.Pruned = func(Prunable, int) {}
	}
	return c
}

func (c WorkersConfig) validate() error {
	if c.Pool == nil {
		return errors.New("workers: Pool is missing")
	}
	if c.Logger == nil {
		return errors.New("workers: Logger is missing")
	}
	return nil
}

// Workers applies deliveries in the background.
type Workers struct {
	client *river.Client[pgx.Tx]
	cfg    WorkersConfig
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewWorkers returns workers that aren't started yet.
func NewWorkers(cfg WorkersConfig) (*Workers, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return newWorkers(cfg, cfg.river())
}

// river is River's configuration, without the workers themselves.
func (c WorkersConfig) river() *river.Config {
	return &river.Config{
		CancelledJobRetentionPeriod: riverLife(c.Retention.Jobs),
		CompletedJobRetentionPeriod: riverLife(c.Retention.DoneJobs),
		DiscardedJobRetentionPeriod: riverLife(c.Retention.Jobs),
		FetchCooldown:               fetchCooldown,
		FetchOnlyKnownKinds:         true, // a job of a newer version waits for a process that knows it
		FetchPollInterval:           fetchPollInterval,
		ID:                          c.ID,
		JobTimeout:                  jobTimeout,
		Logger:                      quiet(c.Logger),
		PeriodicJobs:                c.periodic(),
		Queues:                      c.queues(),
		RescueStuckJobsAfter:        rescueAfter,
		RetryPolicy:                 retryPolicy{now: time.Now},
		Schema:                      migrations.Schema,
		SoftStopTimeout:             softStop,
	}
}

// riverLife is a life as River takes it: for River, 0 is its own default, and -1 is for ever.
func riverLife(life time.Duration) time.Duration {
	if life == 0 {
		return -1
	}
	return life
}

func (c WorkersConfig) periodic() []*river.PeriodicJob {
	jobs := slices.Concat(pruning(), cutting(), judging())
	if c.Sweeper != nil {
		jobs = append(jobs, sweeping(c.SweepInterval)...)
	}
	return jobs
}

func (c WorkersConfig) queues() map[string]river.QueueConfig {
	queues := map[string]river.QueueConfig{
		QueueApply: {MaxWorkers: jobsInHand, FetchCooldown: applyCooldown}, QueueRevocations: {MaxWorkers: revocationRounds},
		QueueHeldUp: {MaxWorkers: heldUpWorkers}, QueueUpkeep: {MaxWorkers: 1, FetchPollInterval: upkeepPollInterval},
	}
	if c.Sweeper != nil {
		queues[QueueSweeps] = river.QueueConfig{MaxWorkers: 1, FetchPollInterval: upkeepPollInterval}
	}
	return queues
}

func newWorkers(cfg WorkersConfig, riverCfg *river.Config) (*Workers, error) {
	riverCfg.Workers = river.NewWorkers()
	river.AddWorker(riverCfg.Workers, newApplyWorker(cfg))
	river.AddWorker(riverCfg.Workers, &pruneWorker{pool: cfg.Pool, keep: cfg.Retention, pruned: cfg.Pruned})
	river.AddWorker(riverCfg.Workers, &cutWorker{pool: cfg.Pool, retention: cfg.Retention.Audit})
	river.AddWorker(riverCfg.Workers, &judgeWorker{pool: cfg.Pool})
	river.AddWorker(riverCfg.Workers, &sweepWorker{pool: cfg.Pool, sweeper: cfg.Sweeper, logger: cfg.Logger})
	river.AddWorker(riverCfg.Workers, &orderedSweepWorker{pool: cfg.Pool, sweeper: cfg.Sweeper, logger: cfg.Logger})
	client, err := river.NewClient(riverpgxv5.New(cfg.Queue), riverCfg)
	if err != nil {
		return nil, fmt.Errorf("open queue for working: %w", err)
	}
	return &Workers{client: client, cfg: cfg}, nil
}

// Start begins to work. It fails if the database can't be reached.
func (w *Workers) Start(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // only Stop stops
	if err := w.client.Start(ctx); err != nil {
		return fmt.Errorf("start workers: %w", err)
	}
	if err := w.sweepAtStart(ctx); err != nil {
		return errors.Join(err, w.client.Stop(ctx))
	}
	ctx, w.cancel = context.WithCancel(ctx)
	w.wg.Go(func() { w.takeOverLoop(ctx) })
	return nil
}

// Stop lets running jobs finish for a few seconds, and gives back those that don't. It returns once
// nothing runs any more, or with an error at the end of ctx.
func (w *Workers) Stop(ctx context.Context) error {
	if w.cancel == nil { // never started
		return nil
	}
	w.cancel()
	w.wg.Wait()
	if err := w.client.Stop(ctx); err != nil {
		return fmt.Errorf("stop workers: %w", err)
	}
	return nil
}
