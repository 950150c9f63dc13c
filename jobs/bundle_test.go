package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	ownInstance = "ins_1"
	// patience is how long a test waits for what has no signal of its own.
	patience = 20 * time.Second
	// pause is how often it looks.
	pause = 10 * time.Millisecond
)

// bundle is a database of a test's own.
type bundle struct {
	url  string
	pool *pgxpool.Pool
	logs *logLines
}

func setup(t *testing.T) *bundle {
	t.Helper()
	url := pgtest.URL(t)
	return &bundle{url: url, pool: openPool(t, url, nil), logs: &logLines{}}
}

// openPool opens a pool of twelve connections: enough for workers, River's upkeep, and a test that watches them.
func openPool(t *testing.T, url string, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	cfg.MaxConns = 12
	if change != nil {
		change(cfg)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg) // the test's context ends before cleanups run
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// logLines collects what is logged.
type logLines struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// inbox starts an inbox that is stopped at the test's end.
func (b *bundle) inbox(t *testing.T) *Inbox {
	t.Helper()
	in, err := NewInbox(InboxConfig{Pool: b.pool, InstanceID: func() string { return ownInstance }, Logger: b.logs.logger()})
	require.NoError(t, err)
	t.Cleanup(in.Stop)
	return in
}

// workersConfig is the configuration of workers on the bundle's pool.
func (b *bundle) workersConfig() WorkersConfig {
	return WorkersConfig{Pool: b.pool, MaxWorkers: 4, Logger: b.logs.logger()}.withDefaults()
}

// work starts workers that are stopped at the test's end.
func (b *bundle) work(t *testing.T) *Workers {
	t.Helper()
	w, err := NewWorkers(b.workersConfig())
	require.NoError(t, err)
	start(t, w)
	return w
}

func start(t *testing.T, w *Workers) {
	t.Helper()
	require.NoError(t, w.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

// idle returns workers that aren't started, for calling their parts.
func (b *bundle) idle(t *testing.T) *Workers {
	t.Helper()
	w, err := NewWorkers(b.workersConfig())
	require.NoError(t, err)
	return w
}

// accept puts a delivery into the ledger, which must succeed.
func accept(t *testing.T, in *Inbox, d clerksync.Delivery) clerksync.Receipt {
	t.Helper()
	receipt, err := in.Accept(t.Context(), d)
	require.NoError(t, err)
	return receipt
}

// insert puts deliveries into the ledger, without a job.
func (b *bundle) insert(t *testing.T, deliveries ...clerksync.Delivery) {
	t.Helper()
	_, err := store.InsertDeliveries(t.Context(), b.pool, deliveries)
	require.NoError(t, err)
}

// apply applies deliveries in one transaction, as a worker does.
func (b *bundle) apply(ctx context.Context, svixIDs ...string) (finished []clerksync.Delivery, err error) {
	done, err := (&applyWorker{pool: b.pool}).commit(ctx, attempt{ids: svixIDs})
	return done.Deliveries, err
}

// row is one delivery as the ledger has it.
type row struct {
	State, LastError, Body string
	Attempts               int
	AppliedAt              *time.Time
}

// ledger returns the delivery's row, or the zero row if there is none.
func (b *bundle) ledger(t *testing.T, svixID string) row {
	t.Helper()
	rows, err := b.pool.Query(t.Context(),
		"SELECT state, last_error, coalesce(body, ''), attempts, applied_at FROM rolecall.deliveries WHERE svix_id = $1", svixID)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	require.NoError(t, err)
	if len(found) == 0 {
		return row{}
	}
	return found[0]
}

// job is one job as the queue has it.
type job struct {
	ID      int64
	State   string
	Attempt int
	SvixIDs []string
}

// jobs returns all jobs, oldest first.
func (b *bundle) jobs(t *testing.T) []job {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `SELECT id, state::text, attempt,
		(SELECT array_agg(e ORDER BY n) FROM jsonb_array_elements_text(args -> 'svix_ids') WITH ORDINALITY AS x (e, n))
		FROM rolecall.river_job ORDER BY id`)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
	require.NoError(t, err)
	return found
}

// exec changes the database as an operator might.
func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// count returns what a query counts.
func (b *bundle) count(t *testing.T, sql string) int {
	t.Helper()
	var n int
	require.NoError(t, b.pool.QueryRow(t.Context(), sql).Scan(&n))
	return n
}

// eventually waits until a condition holds that nothing signals.
func eventually(t *testing.T, condition func() bool, msgAndArgs ...any) {
	t.Helper()
	require.Eventually(t, condition, patience, pause, msgAndArgs...)
}

// untilState waits until a delivery has the state.
func (b *bundle) untilState(t *testing.T, svixID string, want clerksync.State) {
	t.Helper()
	eventually(t, func() bool { return b.ledger(t, svixID).State == string(want) }, "%s never became %s", svixID, want)
}

// hold runs a statement that locks something, and keeps the lock until release is called or the test ends.
func (b *bundle) hold(t *testing.T, sql string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "BEGIN")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
	release = sync.OnceFunc(func() { _ = conn.Close(context.Background()) }) // rolls back
	t.Cleanup(release)
	return release
}

// holdCommits keeps every inbox from committing, as a database does that is too slow.
func (b *bundle) holdCommits(t *testing.T) (release func()) {
	t.Helper()
	return b.hold(t, "LOCK TABLE rolecall.deliveries IN EXCLUSIVE MODE")
}

// untilBlocked waits until n statements wait for a lock.
func (b *bundle) untilBlocked(t *testing.T, n int) {
	t.Helper()
	eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`) == n
	}, "%d statements never waited for a lock", n)
}

// mirror reads all of the mirror's tables.
func (b *bundle) mirror(t require.TestingT) clerksync.Mirror {
	ctx := context.Background()
	var facts clerksync.Facts
	ids := func(table string) []string {
		rows, err := b.pool.Query(ctx, "SELECT id FROM rolecall."+table)
		require.NoError(t, err)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return found
	}
	for _, id := range ids("organizations") {
		facts.Organizations = append(facts.Organizations, clerksync.Organization{Reference: clerksync.Reference{ID: id}})
	}
	for _, id := range ids("users") {
		facts.Users = append(facts.Users, clerksync.User{Reference: clerksync.Reference{ID: id}})
	}
	for _, id := range ids("memberships") {
		facts.Memberships = append(facts.Memberships, clerksync.Membership{Reference: clerksync.Reference{ID: id}})
	}
	locked, err := store.LockMirror(ctx, b.pool, []clerksync.Facts{facts})
	require.NoError(t, err)
	return locked.Mirror
}

// play is what package sync makes of deliveries, without a database. Objects of which only the id is known are left
// out, as nobody can tell them from unknown ones.
func play(t require.TestingT, deliveries ...clerksync.Delivery) clerksync.Mirror {
	mirror := clerksync.NewMirror()
	for _, d := range deliveries {
		facts, known, err := clerksync.Decode(d)
		require.NoError(t, err)
		require.True(t, known)
		mirror.ApplyAll([]clerksync.Delivery{d}, []clerksync.Facts{facts})
	}
	maps.DeleteFunc(mirror.Organizations, func(_ string, o clerksync.Organization) bool { return !o.Known() })
	maps.DeleteFunc(mirror.Users, func(_ string, u clerksync.User) bool { return !u.Known() })
	maps.DeleteFunc(mirror.Memberships, func(_ string, m clerksync.Membership) bool { return !m.Known() })
	return mirror
}

// t0 is when the tests' events occur.
const t0 = int64(1_790_000_000_000)

// event makes a delivery that occurred some milliseconds after t0.
func event(t require.TestingT, svixID, eventType string, after int64, data map[string]any) clerksync.Delivery {
	body, err := json.Marshal(map[string]any{
		"object": "event", "type": eventType, "timestamp": t0 + after, "instance_id": ownInstance, "data": data,
	})
	require.NoError(t, err)
	return clerksync.NewDelivery(svixID, body, time.UnixMilli(t0+after), time.Now())
}

// userNamed is a user.updated that gives a user a first name.
func userNamed(t require.TestingT, svixID, userID, name string, after int64) clerksync.Delivery {
	return event(t, svixID, "user.updated", after, map[string]any{"id": userID, "first_name": name, "updated_at": t0 + after})
}

// joined is an organizationMembership.created.
func joined(t require.TestingT, svixID, membershipID, organizationID, userID string) clerksync.Delivery {
	return event(t, svixID, "organizationMembership.created", 1, map[string]any{
		"id": membershipID, "role": "org:member", "created_at": t0, "updated_at": t0,
		"organization":     map[string]any{"id": organizationID, "name": "North"},
		"public_user_data": map[string]any{"user_id": userID, "first_name": "Kim"},
	})
}

// svixIDs lists the ids of deliveries.
func svixIDs(deliveries []clerksync.Delivery) []string {
	ids := make([]string, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.ID
	}
	return ids
}

// states maps the ids of deliveries to their states.
func states(deliveries []clerksync.Delivery) map[string]clerksync.State {
	out := make(map[string]clerksync.State, len(deliveries))
	for _, d := range deliveries {
		out[d.ID] = d.State
	}
	return out
}

// sortedKeys lists the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func mustJSON(t require.TestingT, v any) json.RawMessage {
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return raw
}
