package replica

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgpool"
)

// TestReplica_PausedReplica: without the proof, a replica whose replay is paused lets a removed
// member in for as long as it is paused. With it, the primary is asked.
func TestReplica_PausedReplica(t *testing.T) {
	needsSurroundings(t)
	t.Parallel()
	s := startServers(t, 1)
	s.clock.stop()
	s.ready()
	proven := s.set
	open := proven.cfg
	open.unproven = true
	s.set = newSet(open)
	s.look(0)
	s.replicas[0].PauseReplay()
	s.change(1, 1) // a removal
	s.clock.advance(10 * bound)
	require.Zero(t, s.ready(), "without the proof, the removed member is let in")

	s.set = proven
	s.refused(0)
	require.NotZero(t, proven.replicas[0].Counts(OutcomeUnheard), "nothing was heard within the bound")
	s.until(OutcomeBehind, 0, func() { // what was heard isn't replayed
		s.hear()
		s.refused(0)
	})
	require.NotNil(t, proven.replicas[0].Status().Delay)
	s.replicas[0].ResumeReplay()
	require.EqualValues(t, 1, s.ready())
}

// TestReplica_AnotherOneAtItsAddress: since the last look, the address leads to a replica that is
// behind. The look says nothing of that one; the proof in the question does.
func TestReplica_AnotherOneAtItsAddress(t *testing.T) {
	needsSurroundings(t)
	t.Parallel()
	s := startServers(t, 2)
	s.clock.stop()
	s.ready()
	s.replicas[1].CatchUp(s.primary)
	s.replicas[1].PauseReplay()
	s.change(1, 1)         // a removal
	s.clock.advance(bound) // the pulses before it prove nothing any more
	replica := s.set.replicas[0]
	s.until(OutcomeBehind, 0, func() {
		s.ways[0].Turn(s.replicas[0].Addr())
		replica.Pool.Reset()
		s.replicas[0].CatchUp(s.primary)
		require.EqualValues(t, 1, s.ready())
		s.ways[0].Turn(s.replicas[1].Addr())
		replica.Pool.Reset() // its next session is a new one
		s.refused(0)
	})
	require.Equal(t, OutcomeBehind, replica.state.Load().fault, "it was asked")
}

// TestReplica_ProofComesBeforeTheSnapshot: a replica that catches up during a single statement
// shows the past and the newest position. The proof is a statement of its own, and what follows it
// shows what the position covers.
func TestReplica_ProofComesBeforeTheSnapshot(t *testing.T) {
	needsSurroundings(t)
	t.Parallel()
	s := startServers(t, 1)
	s.ready()
	replica := s.replicas[0]
	const lsn, lock = "(pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint", 7
	for _, together := range []bool{true, false} {
		replica.CatchUp(s.primary)
		before := s.versionOnPrimary(1)
		holder, err := pgx.Connect(t.Context(), replica.URL("rolecall"))
		require.NoError(t, err)
		_, err = holder.Exec(t.Context(), "SELECT pg_advisory_lock($1)", lock)
		require.NoError(t, err)
		replica.PauseReplay()
		s.change(1, before+1)
		var version, position int64
		asked := make(chan error, 1)
		go func() { // each waits for the lock in the middle
			const wait = "(SELECT 1 FROM pg_advisory_xact_lock_shared(7) OFFSET 0)"
			if together {
				asked <- s.set.replicas[0].Pool.QueryRow(t.Context(), "SELECT m.version, w.x, "+lsn+" FROM public.members m, LATERAL "+wait+" w(x) WHERE m.id = 1").Scan(&version, new(int), &position)
				return
			}
			rows, err := pgpool.QueryProven(t.Context(), s.set.replicas[0].Pool, pgpool.Proof{
				SQL: "SELECT w.x, " + lsn + " FROM " + wait + " w(x)", Judge: func(row pgx.Row) error { return row.Scan(new(int), &position) },
			}, "SELECT version FROM public.members WHERE id = 1")
			if err == nil {
				_, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (int64, error) { return 0, row.Scan(&version) })
			}
			asked <- err
		}()
		require.Eventually(t, func() bool {
			return replica.Value("rolecall", "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1"
		}, 10*time.Second, time.Millisecond)
		replica.ResumeReplay()
		replica.CatchUp(s.primary)
		covered := s.positionOnPrimary()
		replica.CatchUp(s.primary)
		require.NoError(t, holder.Close(t.Context()))
		require.NoError(t, <-asked)
		require.GreaterOrEqual(t, position, covered, "the statement's own check passes")
		if together {
			require.Equal(t, before, version, "and it shows the past")
		} else {
			require.Equal(t, before+1, version)
		}
	}
}

// TestReplica_PromotedReplicaAnswersNothing, and the primary's sessions aren't cut because of it.
func TestReplica_PromotedReplicaAnswersNothing(t *testing.T) {
	needsSurroundings(t)
	t.Parallel()
	s := startServers(t, 1)
	s.clock.stop()
	s.ready()
	s.replicas[0].Promote()
	s.until(OutcomeNotInRecovery, 0, func() { // before anybody has looked again
		s.hear()
		newest, _ := s.set.pulses.newest()
		s.set.replicas[0].state.Store(&state{fault: OutcomeAnswered, replayed: newest.number, history: newest.history}) // as a look before the promotion saw it
		s.refused(0)
	})
	require.Eventually(t, func() bool {
		s.look(0)
		return s.set.replicas[0].Status().State == OutcomeNotInRecovery
	}, 20*time.Second, time.Millisecond)
	s.change(1, 1)
	require.Eventually(t, func() bool {
		s.hear()
		return s.set.Heard()
	}, 20*time.Second, time.Millisecond, "the old primary goes on")
}

// TestReplica_LateAnswerDoesNotCount: what takes longer than the bound is for the primary.
func TestReplica_LateAnswerDoesNotCount(t *testing.T) {
	needsSurroundings(t)
	t.Parallel()
	s := startServers(t, 1)
	s.clock.stop()
	s.ready()
	read := func(sql string) (unanswered bool) {
		_, unanswered, _ = s.read(0, func(db DB) error {
			var none *string
			return db.QueryRow(t.Context(), sql).Scan(&none)
		})
		return unanswered
	}
	s.until(OutcomeAnswered, 0, func() { read("SELECT NULL::text") })
	began := time.Now()
	s.until(OutcomeLate, 0, func() {
		s.ready()
		began = time.Now()
		require.True(t, read("SELECT pg_sleep(60)::text"))
	})
	require.Less(t, time.Since(began), 30*time.Second)
	require.Equal(t, OutcomeLate, s.set.replicas[0].state.Load().fault, "it rests")
	s.until(OutcomeFailed, 0, func() {
		s.ready()
		require.True(t, read("SELECT NULL::text FROM nowhere.at_all"))
	})
	s.until(OutcomeLate, 0, func() { // the answer comes in time, and is read late
		s.ready()
		_, unanswered, err := s.read(0, func(db DB) error {
			rows, err := db.Query(t.Context(), "SELECT generate_series(1, 3)")
			if err != nil {
				return err
			}
			rows.Next()
			s.clock.advance(bound + 1)
			for rows.Next() {
				continue
			}
			return rows.Err()
		})
		require.True(t, unanswered, "%v", err)
	})
}

// TestReplica_OfTheOldPrimaryAnswersNothing: it has replayed more than the new primary has, and of
// another history.
func TestReplica_OfTheOldPrimaryAnswersNothing(t *testing.T) {
	needsSurroundings(t)
	t.Parallel()
	s := startServers(t, 2)
	s.clock.stop()
	s.ready()
	s.cutStream(0)
	_, err := s.writer.Exec(t.Context(), "CREATE TABLE public.much AS SELECT generate_series(1, 50000) n")
	require.NoError(t, err)
	s.replicas[1].CatchUp(s.primary)
	s.failOver(false)
	s.primary.Exec("rolecall", noteSQL)
	s.change(1, 1) // a removal
	s.until(OutcomeOtherHistory, 1, func() {
		s.clock.advance(bound)
		s.hear()
		s.look(1)
		s.refused(1)
	})
}

// TestReplica_OfAPromotedReplicaAnswersNothing while the old primary goes on and is heard: it has
// replayed more than the old primary has written, in a history that has no name of its own yet.
func TestReplica_OfAPromotedReplicaAnswersNothing(t *testing.T) {
	needsSurroundings(t)
	t.Parallel()
	s := startServers(t, 2)
	s.clock.stop()
	s.streams[1].Turn(s.replicas[0].Addr()) // the second one cascades
	s.streams[1].Cut()
	s.ready()
	s.change(1, 1)
	s.replicas[1].CatchUp(s.primary)
	s.look(1)
	s.hear()
	s.cutStream(0)
	s.change(1, 2) // a removal
	s.replicas[0].Promote()
	s.replicas[0].Exec("rolecall", "CREATE TABLE public.much AS SELECT generate_series(1, 50000) n")
	s.replicas[1].CatchUp(s.replicas[0])
	s.until(OutcomeBehind, 1, func() { // the old primary is heard, and this replica shows none of it
		s.clock.advance(bound)
		s.hear()
		s.look(1)
		s.refused(1)
	})
}
