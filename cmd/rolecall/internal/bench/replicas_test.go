package bench_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// replicas measures authorize from two replicas beside the primary alone. All servers share the
// machine, so the processor time that the primary is relieved of says more than the rates do.
func (s *suite) replicas(b *testing.B) {
	primary := pgtest.NewCluster(b, map[string]string{"max_connections": "300"})
	url := primary.Migrated("rolecall")
	fill(b, url)
	first, second := primary.Standby(), primary.Standby()
	c := startClerk(b)
	alone := s.serve(b, c, url, "--no-workers")
	relieved := s.serve(b, c.with("ROLECALL_REPLICA_DATABASE_URLS="+first.URL("rolecall")+","+second.URL("rolecall")), url, "--no-workers")
	r := &replicasBench{suite: s, clerk: c}
	for i, p := range []*program{alone, relieved} {
		r.sides[i].program = p
		for _, server := range []*pgtest.Cluster{primary, first, second} {
			r.sides[i].servers = append(r.sides[i].servers, newCost(b, p, connect(b, server.URL("rolecall"))))
		}
	}
	for _, callers := range callerCounts()[1:] {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { r.from(b, callers) })
	}
}

// replicasBench is a program that reads from the primary, and one that reads from replicas.
type replicasBench struct {
	*suite

	clerk *clerk
	sides [2]replicasSide
}

// replicasSide is one of these programs, with what it took.
type replicasSide struct {
	program *program
	servers []cost // of the primary, then of the replicas

	answers       int
	primary, rest time.Duration // processor time of the primary, and of all others
}

func (r *replicasBench) from(b *testing.B, callers int) {
	b.Helper()
	tokens := make([]string, callers)
	for i := range tokens {
		tokens[i] = r.clerk.token(b, userAt(i))
	}
	var rates [2]func() float64
	for i := range r.sides {
		side := &r.sides[i]
		side.answers, side.primary, side.rest = 0, 0, 0
		ask := asking(b, newAskers(b, side.program.addr, callers, func(ctx context.Context, caller int) (*http.Request, error) {
			return withToken(ctx, "/v1/authorize?permission=members:read&workspace_id="+organizationAt(caller), tokens[caller])
		}))
		closedLoop(b, callers, warmUp, ask)
		rates[i] = func() float64 { return side.measure(b, callers, ask) }
	}
	before := outcomes(b, r.sides[1].program)
	r.table.compare(b, "authorize, "+plural(callers)+": two replicas beside the primary alone", "requests", rates[0], rates[1])
	alone, relieved := r.sides[0], r.sides[1]
	row := func(what string, of func(replicasSide) time.Duration) {
		x, y := perAnswer(of(alone), alone.answers), perAnswer(of(relieved), relieved.answers)
		r.table.add("the same, processor time of an answer: "+what, fmt.Sprintf("%.0f µs", x), fmt.Sprintf("%.0f µs", y), fmt.Sprintf("%.2f ×", y/x))
	}
	row("the primary", func(s replicasSide) time.Duration { return s.primary })
	row("the primary, the replicas and the program", func(s replicasSide) time.Duration { return s.primary + s.rest })
	after := outcomes(b, r.sides[1].program)
	answered, asked := after.answered-before.answered, after.all-before.all
	require.NotZero(b, answered, "no replica answered: %s", r.sides[1].program.log.String())
	r.table.add("the same, questions that a replica answered", "–", fmt.Sprintf("%.1f %%", 100*answered/asked), "–")
}

// measure returns how many answers the side gives in a second.
func (s *replicasSide) measure(b *testing.B, callers int, ask func(int) error) float64 {
	b.Helper()
	primary, rest := s.used(b)
	began := time.Now()
	done := closedLoop(b, callers, readTime, ask)
	took := time.Since(began)
	primaryNow, restNow := s.used(b)
	s.answers, s.primary, s.rest = s.answers+done, s.primary+primaryNow-primary, s.rest+restNow-rest
	return float64(done) / took.Seconds()
}

// used is the processor time until now.
func (s *replicasSide) used(b *testing.B) (primary, rest time.Duration) {
	b.Helper()
	for i, server := range s.servers {
		u := server.processorTime(b)
		if i == 0 {
			primary, rest = u.postgres, u.program
		} else {
			rest += u.postgres
		}
	}
	return primary, rest
}

func perAnswer(used time.Duration, answers int) (micros float64) {
	return float64(used.Microseconds()) / float64(max(answers, 1))
}

// readOutcomes count who answered the questions that replicas could answer.
type readOutcomes struct{ answered, all float64 }

func outcomes(b *testing.B, p *program) (o readOutcomes) {
	b.Helper()
	text, err := newAskers(b, p.admin, 1, func(ctx context.Context, _ int) (*http.Request, error) { return atConsole(ctx, p, "/metrics") })[0].ask(b.Context())
	require.NoError(b, err)
	for line := range strings.Lines(text) {
		byReplica := strings.HasPrefix(line, "rolecall_replica_answers_total{") && strings.Contains(line, `outcome="answered"`)
		if !byReplica && !strings.HasPrefix(line, "rolecall_primary_answers_total ") {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, " "):]), 64)
		require.NoError(b, err, line)
		o.all += n
		if byReplica {
			o.answered += n
		}
	}
	return o
}
