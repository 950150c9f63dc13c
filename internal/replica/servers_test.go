package replica

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/internal/pgtest"
)

// noteSQL notes the server in its database, as a process does that finds another one.
const noteSQL = `INSERT INTO rolecall.database_identity (system_identifier, timeline, table_oid, noted_at, change)
	SELECT system_identifier::text, ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::bigint,
		'rolecall.database_identity'::regclass::oid::bigint, now(), '' FROM pg_control_system()
	ON CONFLICT (one) DO UPDATE SET timeline = excluded.timeline, changed_at = clock_timestamp(), change = 'a failover'`

// servers are a primary with replicas, a process that reads from them, and the networks between
// all. One row for each member has the version of its last change.
type servers struct {
	t        testing.TB
	primary  *pgtest.Cluster
	replicas []*pgtest.Cluster
	streams  []*pgtest.Switch // from the primary to each replica
	wayThere *pgtest.Switch   // from the process to the primary
	ways     []*pgtest.Switch // and to each replica
	writer   *pgxpool.Pool
	set      *Set
	clock    *clock
	split    bool // the first replica is promoted, and the primary goes on
}

// clock is the process's clock. A test moves it instead of waiting.
type clock struct {
	mu      sync.Mutex
	ahead   time.Duration
	stopped time.Time // when it was stopped; zero if it runs
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped.IsZero() {
		return time.Now().Add(c.ahead)
	}
	return c.stopped.Add(c.ahead)
}

// stop makes time pass only as far as a test moves it: no pulse ages because the machine is slow.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = time.Now()
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

const (
	nowhere = "127.0.0.1:1" // nobody listens there
	members = 4
	bound   = 400 * time.Millisecond
)

// startServers starts servers, and a set that asks nobody by itself.
func startServers(t testing.TB, n int) *servers {
	t.Helper()
	s := &servers{t: t, clock: &clock{}}
	s.primary = pgtest.NewCluster(t, map[string]string{
		"wal_retrieve_retry_interval": "10ms", "max_standby_streaming_delay": "20s", "wal_sender_timeout": "0", "fsync": "off", "autovacuum": "off",
	})
	s.primary.Migrated("rolecall")
	s.primary.Exec("rolecall", noteSQL, "CREATE TABLE public.members (id int PRIMARY KEY, version bigint NOT NULL)",
		"INSERT INTO public.members SELECT n, 0 FROM generate_series(1, "+strconv.Itoa(members)+") n")
	for range n {
		stream := pgtest.NewSwitch(t, s.primary.Addr())
		s.streams = append(s.streams, stream)
		s.replicas = append(s.replicas, s.primary.Standby(stream))
	}
	s.wayThere = pgtest.NewSwitch(t, s.primary.Addr())
	for _, r := range s.replicas {
		s.ways = append(s.ways, pgtest.NewSwitch(t, r.Addr()))
	}
	s.connect()
	return s
}

// connect opens the process's pools.
func (s *servers) connect() {
	s.t.Helper()
	open := func(c pgpool.Config) *pgxpool.Pool {
		pool, err := pgpool.Open(context.WithoutCancel(s.t.Context()), c)
		require.NoError(s.t, err)
		s.t.Cleanup(pool.Close)
		return pool
	}
	lineage := pgpool.NewLineage(nil)
	s.openWriter()
	cfg := Config{
		Primary: open(pgpool.Config{URL: s.wayThere.URL(s.primary.URL("rolecall")), Needs: pgpool.Needs{Write: true}, MaxConns: 1, Lineage: lineage, Within: time.Second}),
		MaxLag:  bound, Logger: slog.New(slog.DiscardHandler), now: s.clock.now,
	}
	for i, r := range s.replicas {
		source := Source{Name: r.Addr()}
		for _, into := range []**pgxpool.Pool{&source.Pool, &source.Looks} {
			*into = open(pgpool.Config{URL: s.ways[i].URL(r.URL("rolecall")), Needs: pgpool.Needs{ReadOnly: true}, MaxConns: 2, Copies: lineage, Within: time.Second})
		}
		cfg.Replicas = append(cfg.Replicas, source)
	}
	s.set = newSet(cfg)
}

// hear lets the process ask the primary.
func (s *servers) hear() {
	ctx, cancel := context.WithTimeout(s.t.Context(), s.set.patience())
	defer cancel()
	s.set.hear(ctx)
}

// look lets the process look at a replica.
func (s *servers) look(i int) {
	ctx, cancel := context.WithTimeout(s.t.Context(), s.set.patience())
	defer cancel()
	s.set.replicas[i].look(ctx)
}

// change changes a member on the primary.
func (s *servers) change(member int, version int64) {
	s.t.Helper()
	_, err := s.writer.Exec(s.t.Context(), "UPDATE public.members SET version = $2 WHERE id = $1", member, version)
	require.NoError(s.t, err)
}

// ask asks a replica for the version of a member. It reports whether there is an answer.
func (s *servers) ask(i, member int) (version int64, asOf time.Time, answered bool) {
	s.t.Helper()
	asOf, unanswered, err := s.read(i, func(db DB) error {
		return db.QueryRow(s.t.Context(), "SELECT version FROM public.members WHERE id = $1", member).Scan(&version)
	})
	require.True(s.t, unanswered || err == nil, "%v", err)
	return version, asOf, !unanswered
}

// read reads from a replica, and counts what came of it.
func (s *servers) read(i int, read func(DB) error) (asOf time.Time, unanswered bool, err error) {
	q := &Request{set: s.set, chose: true, chosen: s.set.replicas[i]}
	asOf, unanswered, err = q.chosen.Read(s.t.Context(), read)
	if unanswered {
		q.Missed(s.t.Context(), err)
	} else {
		_ = q.Answered(asOf)
		q.outdated = false // the test's clock may be beyond it by now
	}
	q.End()
	return asOf, unanswered, err
}

// ready hears and looks until the first replica answers, and returns the version of member 1. On a
// busy machine, it may be late a few times.
func (s *servers) ready() (version int64) {
	s.t.Helper()
	for until := time.Now().Add(20 * time.Second); ; {
		s.hear()
		s.look(0)
		if version, _, answered := s.ask(0, 1); answered {
			return version
		}
		require.True(s.t, time.Now().Before(until), "%v", s.set.replicas[0].Status())
		s.clock.advance(bound / hearsWithin)
	}
}

// until tries until reads of a replica have ended with an outcome once more. On a busy machine, a
// try may end with another one.
func (s *servers) until(outcome Outcome, replica int, try func()) {
	s.t.Helper()
	r := s.set.replicas[replica]
	before := r.Counts(outcome)
	for end := time.Now().Add(20 * time.Second); r.Counts(outcome) == before; s.clock.advance(longestRest) {
		require.True(s.t, time.Now().Before(end), "%s: %v", outcome, r.Status())
		try()
	}
}

// refused asks a replica, which must not answer.
func (s *servers) refused(replica int) {
	s.t.Helper()
	_, _, answered := s.ask(replica, 1)
	require.False(s.t, answered)
}

// calm undoes all faults.
func (s *servers) calm() {
	s.t.Helper()
	s.wayThere.Turn(s.primary.Addr())
	for i, r := range s.replicas {
		s.streams[i].Turn(s.primary.Addr())
		s.ways[i].Turn(r.Addr())
		s.ways[i].Cut()
		r.ResumeReplay()
	}
	s.clock.advance(longestRest)
}

// cutStream keeps a replica from the primary's changes.
func (s *servers) cutStream(i int) {
	s.streams[i].Turn(nowhere)
	s.streams[i].Cut()
}

// cascade lets the second replica follow the first one.
func (s *servers) cascade() {
	s.t.Helper()
	s.streams[1].Turn(s.replicas[0].Addr())
	s.streams[1].Cut()
	s.replicas[1].CatchUp(s.primary)
}

// splitUp promotes the first replica while the primary goes on. The second one, which follows the
// promoted one, has soon replayed more than the primary has written.
func (s *servers) splitUp() {
	s.t.Helper()
	s.split = true
	s.replicas[0].Promote()
	s.replicas[0].Exec("rolecall", "SELECT pg_logical_emit_message(true, 'noise', repeat('x', 1000000))")
	s.replicas[1].CatchUp(s.replicas[0])
}

// failOver kills the primary and promotes the first replica, which takes its place. Nobody notes
// it. The second one follows it at once, or still waits for the old one.
func (s *servers) failOver(follows bool) {
	s.t.Helper()
	s.writer.Close()
	s.primary.Crash()
	if !s.split {
		s.replicas[0].Promote()
	}
	s.split = false
	s.primary, s.replicas[0] = s.replicas[0], s.primary
	s.wayThere.Turn(s.primary.Addr())
	s.wayThere.Cut()
	if follows {
		s.streams[1].Turn(s.primary.Addr())
	}
	s.openWriter() // the process's pools stay: the first replica's lead to the new primary
}

// rejoin makes the old primary the first replica, and the second one follow the new primary.
func (s *servers) rejoin() {
	s.t.Helper()
	for i := range s.streams {
		s.streams[i].Turn(s.primary.Addr())
	}
	s.replicas[0].Follow(s.primary, s.streams[0])
	s.ways[0].Turn(s.replicas[0].Addr())
	s.ways[0].Cut()
	s.streams[1].Cut()
	if s.replicas[1].Value("rolecall", "SELECT (history <> '"+s.primary.Value("rolecall", "SELECT history::text FROM rolecall.database_identity")+
		"')::text FROM rolecall.database_identity") == "true" { // it has what the new primary lacks, and can't follow
		s.replicas[1].Crash()
		s.replicas[1].Follow(s.primary, s.streams[1])
	}
}

// versionOnPrimary is the version of a member that the primary has.
func (s *servers) versionOnPrimary(member int) int64 {
	s.t.Helper()
	version, err := strconv.ParseInt(s.primary.Value("rolecall", "SELECT version::text FROM public.members WHERE id = "+strconv.Itoa(member)), 10, 64)
	require.NoError(s.t, err)
	return version
}

func (s *servers) openWriter() {
	s.t.Helper()
	var err error
	s.writer, err = pgpool.Open(context.WithoutCancel(s.t.Context()), pgpool.Config{URL: s.primary.URL("rolecall"), Needs: pgpool.Needs{Write: true}, MaxConns: 2})
	require.NoError(s.t, err)
	s.t.Cleanup(s.writer.Close)
}

// positionOnPrimary is up to where the primary's WAL is on disk.
func (s *servers) positionOnPrimary() int64 {
	s.t.Helper()
	position, err := strconv.ParseInt(s.primary.Value("", "SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::text"), 10, 64)
	require.NoError(s.t, err)
	return position
}
