package bench_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// several measures three processes behind one address beside one process behind another. All share
// the machine: the rows show what the division costs, and not what more machines give.
func (s *suite) several(b *testing.B) {
	c := startClerk(b)
	t := &severalBench{suite: s, clerk: c}
	for i, n := range []int{1, 3} {
		url := pgtest.DurableURL(b)
		fill(b, url)
		var addrs []string
		for range n {
			addrs = append(addrs, s.serve(b, c, url).addr)
		}
		t.addrs[i], t.dbs[i] = oneAddress(b, addrs), connect(b, url)
	}
	for _, callers := range callerCounts()[1:] {
		b.Run(fmt.Sprintf("authorize/callers=%d", callers), func(b *testing.B) { t.authorize(b, callers) })
	}
	for _, callers := range callerCounts()[1:] {
		b.Run(fmt.Sprintf("webhooks/callers=%d", callers), func(b *testing.B) { t.webhooks(b, callers) })
	}
	for side, db := range t.dbs {
		requireMembers(b, db, t.sent[side], members)
	}
}

// severalBench is one process and three processes, each side on a database of its own.
type severalBench struct {
	*suite

	clerk *clerk
	addrs [2]string
	dbs   [2]*pgx.Conn
	sent  [2]int // deliveries
}

func (t *severalBench) authorize(b *testing.B, callers int) {
	b.Helper()
	tokens := make([]string, callers)
	for i := range tokens {
		tokens[i] = t.clerk.token(b, userAt(i))
	}
	t.compareSides(b, "authorize", "requests", callers, func(side int) func() float64 {
		ask := asking(b, newAskers(b, t.addrs[side], callers, func(ctx context.Context, caller int) (*http.Request, error) {
			return withToken(ctx, "/v1/authorize?permission=members:read&workspace_id="+organizationAt(caller), tokens[caller])
		}))
		closedLoop(b, callers, warmUp, ask)
		return func() float64 { return perSecond(b, callers, readTime, ask) }
	})
}

func (t *severalBench) webhooks(b *testing.B, callers int) {
	b.Helper()
	messages := newJoins(b, t.clerk)
	messages.made.Store(time.Now().UnixMicro()) // an earlier part has sent some
	t.compareSides(b, "webhook → mirror", "deliveries", callers, func(side int) func() float64 {
		senders := newSenders(b, t.clerk, t.addrs[side], callers)
		deliver := func(length time.Duration) float64 {
			began := time.Now()
			done := closedLoop(b, callers, length, func(caller int) error { return senders[caller].send(b.Context(), messages.next()) })
			untilApplied(b, t.dbs[side])
			t.sent[side] += done
			return float64(done) / time.Since(began).Seconds()
		}
		deliver(warmUp)
		return func() float64 { return deliver(writeTime) }
	})
}

// compareSides measures both sides in turn. of warms a side up, and returns what measures its rate.
func (t *severalBench) compareSides(b *testing.B, work, unit string, callers int, of func(side int) func() float64) {
	b.Helper()
	t.table.compare(b, work+", "+plural(callers)+": three processes behind one address beside one", unit, of(0), of(1))
}

// oneAddress passes each connection on to the next address, as a balancer of connections does.
func oneAddress(b *testing.B, addrs []string) string {
	b.Helper()
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	var passing sync.WaitGroup
	passing.Go(func() {
		for n := 0; ; n++ {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { passOn(b.Context(), client, addrs[n%len(addrs)]) })
		}
	})
	b.Cleanup(func() {
		_ = listener.Close()
		passing.Wait()
	})
	return listener.Addr().String()
}

// passOn connects a client until one of both ends closes.
func passOn(ctx context.Context, client net.Conn, addr string) {
	defer func() { _ = client.Close() }()
	server, err := servicetest.DialTCP(addr)(ctx)
	if err != nil {
		return // the client finds its connection closed
	}
	defer context.AfterFunc(ctx, func() { _ = client.Close(); _ = server.Close() })()
	var answers sync.WaitGroup
	answers.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_, _ = io.Copy(server, client)
	_ = server.Close()
	answers.Wait()
}
