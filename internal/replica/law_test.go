package replica

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// change is a change of a member on the primary, and when its commit had returned: the primary
// enforces it since then at the latest.
type change struct {
	version int64
	at      time.Time
}

// oracle knows what the primary enforces since when.
type oracle struct {
	changes      [members + 1][]change
	version      int64
	throughHangs int // answers that came through a network that had hung
}

func (o *oracle) next() int64 { o.version++; return o.version }

func (o *oracle) changed(member int, version int64, at time.Time) {
	o.changes[member] = append(o.changes[member], change{version, at})
}

// least is the version that everybody must see who asks later than an instant.
func (o *oracle) least(member int, at time.Time) (version int64) {
	for _, c := range o.changes[member] {
		if !c.at.After(at) {
			version = c.version
		}
	}
	return version
}

// lose forgets the changes of a member after a version: a failover has lost them.
func (o *oracle) lose(member int, version int64) {
	kept := o.changes[member][:0]
	for _, c := range o.changes[member] {
		if c.version <= version {
			kept = append(kept, c)
		}
	}
	o.changes[member] = kept
}

// require requires that an answer of a replica is within the bound.
func (o *oracle) require(t require.TestingT, s *servers, replica, member int) {
	before := s.clock.now()
	got, asOf, answered := s.ask(replica, member)
	if !answered {
		return
	}
	require.GreaterOrEqual(t, got, o.least(member, before.Add(-bound)), "enforced on the primary for longer than the bound")
	require.GreaterOrEqual(t, got, o.least(member, asOf), "enforced before the instant up to which the answer is complete")
	require.LessOrEqual(t, before.Sub(asOf), bound)
}

// requireThroughAHang requires the same of an answer that comes once the network has hung for a
// while: it counts by then, and not when it was asked for.
func (o *oracle) requireThroughAHang(t require.TestingT, s *servers, replica, member int, meanwhile func()) {
	s.set.replicas[replica].Pool.Reset() // a session from before a turn would not hang
	s.ways[replica].Hang()
	type answer struct {
		version int64
		asOf    time.Time
	}
	answers := make(chan answer, 1)
	go func() {
		defer close(answers)
		if version, asOf, answered := s.ask(replica, member); answered {
			answers <- answer{version, asOf}
		}
	}()
	meanwhile()
	woken := s.clock.now()
	s.ways[replica].Wake()
	if got, answered := <-answers; answered {
		require.GreaterOrEqual(t, got.version, o.least(member, woken.Add(-bound)), "enforced on the primary for longer than the bound")
		require.GreaterOrEqual(t, got.version, o.least(member, got.asOf), "enforced before the instant up to which the answer is complete")
		require.LessOrEqual(t, woken.Sub(got.asOf), bound)
		o.throughHangs++
	}
}

// hearThroughAHang hears from the primary once the network has hung for a while: what is heard is
// as old as the question.
func (s *servers) hearThroughAHang(meanwhile func()) {
	s.wayThere.Hang()
	heard := make(chan struct{})
	go func() { defer close(heard); s.hear() }()
	meanwhile()
	s.wayThere.Wake()
	<-heard
}

// TestLaw_NoReplicaAnswersLate: whatever happens between servers, no answer of a replica lacks what
// the primary has enforced for longer than the bound.
func TestLaw_NoReplicaAnswersLate(t *testing.T) {
	needsSurroundings(t)
	t.Parallel()
	s, o := startServers(t, 2), &oracle{}
	answers := 0
	rapid.Check(t, func(t *rapid.T) {
		s.calm()
		s.ready()
		replica, member := rapid.IntRange(0, 1), rapid.IntRange(1, members)
		passing := rapid.Int64Range(0, int64(bound))
		change := func(m int) {
			v := o.next()
			s.change(m, v)
			o.changed(m, v, s.clock.now())
		}
		changeAndPass := func(t *rapid.T) func() {
			m, d := member.Draw(t, "changed"), passing.Draw(t, "time")
			return func() { change(m); s.clock.advance(time.Duration(d)) }
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) { change(member.Draw(t, "member")) },
			"ask": func(t *rapid.T) {
				r, m := replica.Draw(t, "replica"), member.Draw(t, "member")
				before := s.set.replicas[r].Counts(OutcomeAnswered)
				o.require(t, s, r, m)
				answers += int(s.set.replicas[r].Counts(OutcomeAnswered) - before)
			},
			"hear":   func(*rapid.T) { s.hear() },
			"look":   func(t *rapid.T) { s.look(replica.Draw(t, "replica")) },
			"pass":   func(t *rapid.T) { s.clock.advance(time.Duration(passing.Draw(t, "time"))) },
			"pause":  func(t *rapid.T) { s.replicas[replica.Draw(t, "replica")].PauseReplay() },
			"resume": func(t *rapid.T) { s.replicas[replica.Draw(t, "replica")].ResumeReplay() },
			"cut stream": func(t *rapid.T) {
				r := replica.Draw(t, "replica")
				s.streams[r].Turn(nowhere)
				s.streams[r].Cut()
			},
			"hang and wake primary": func(t *rapid.T) { s.hearThroughAHang(changeAndPass(t)) },
			"hang and wake replica": func(t *rapid.T) {
				o.requireThroughAHang(t, s, replica.Draw(t, "replica"), member.Draw(t, "member"), changeAndPass(t))
			},
			"mend stream":  func(t *rapid.T) { s.streams[replica.Draw(t, "replica")].Turn(s.primary.Addr()) },
			"cut primary":  func(*rapid.T) { s.wayThere.Turn(nowhere); s.wayThere.Cut() },
			"mend primary": func(*rapid.T) { s.wayThere.Turn(s.primary.Addr()) },
			"cut replica": func(t *rapid.T) {
				r := replica.Draw(t, "replica")
				s.ways[r].Turn(nowhere)
				s.ways[r].Cut()
			},
			"mend replica": func(t *rapid.T) { r := replica.Draw(t, "replica"); s.ways[r].Turn(s.replicas[r].Addr()) },
			// An address may lead to another server by now: the last look says nothing of that one.
			"swap replicas": func(*rapid.T) {
				s.ways[0].Turn(s.replicas[1].Addr())
				s.ways[1].Turn(s.replicas[0].Addr())
				s.ways[0].Cut()
				s.ways[1].Cut()
			},
		})
	})
	require.NotZero(t, answers, "replicas answered")
	t.Logf("%d questions were answered, and %d through a hang", answers, o.throughHangs)
}

// TestLaw_NoReplicaAnswersLateAfterAFailover: also not by the pulses of another history.
func TestLaw_NoReplicaAnswersLateAfterAFailover(t *testing.T) {
	needsSurroundings(t)
	t.Parallel()
	s, o := startServers(t, 2), &oracle{}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range failovers {
		s.calm()
		s.ready()
		s.someSteps(rng, o)
		split := rng.IntN(2) == 0
		if split {
			s.cascade()
		}
		if rng.IntN(2) == 0 { // the promoted one lacks what comes now
			s.cutStream(0)
		}
		s.someSteps(rng, o)
		if split { // the old primary goes on for a while
			s.splitUp()
			s.someSteps(rng, o)
		}
		s.failOver(rng.IntN(2) == 0)
		for m := 1; m <= members; m++ {
			o.lose(m, s.versionOnPrimary(m))
		}
		s.someSteps(rng, o)
		s.hear()
		require.NotEmpty(t, *s.set.lastError.Load(), "the new primary isn't noted: nothing is heard of it")
		s.primary.Exec("rolecall", noteSQL)
		s.someSteps(rng, o)
		s.rejoin()
	}
	t.Logf("%d questions were answered through a hang", o.throughHangs)
}

// someSteps are random changes and questions.
func (s *servers) someSteps(rng *rand.Rand, o *oracle) {
	for range 10 + rng.IntN(30) {
		r, m := rng.IntN(2), 1+rng.IntN(members)
		change := func() {
			v := o.next()
			s.change(m, v)
			o.changed(m, v, s.clock.now())
		}
		switch rng.IntN(9) {
		case 0:
			change()
		case 1:
			s.hear()
		case 2:
			s.look(r)
		case 3:
			s.clock.advance(bound / 3)
		case 4: // all that was changed must show by now
			s.clock.advance(bound)
			s.hear()
			s.look(r)
			for m := 1; m <= members; m++ {
				o.require(s.t, s, r, m)
			}
		case 5:
			s.hearThroughAHang(func() { change(); s.clock.advance(bound / 3) })
		case 6:
			o.requireThroughAHang(s.t, s, r, m, func() { change(); s.clock.advance(bound / 3) })
		default:
			o.require(s.t, s, r, m)
		}
	}
}

// failovers is how many failovers the law has. Each takes some seconds.
const failovers = 4
