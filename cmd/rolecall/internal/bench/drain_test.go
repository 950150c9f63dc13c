package bench_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// backlog is what some seconds without workers leave behind. Draining it takes seconds, so that the
// first batches or a checkpoint don't decide the result.
const backlog = 20_000

// drain measures how fast workers apply a backlog. One process accepts it, and another one, which
// starts later, applies it. The rate is that of the deliveries which were left when the first ones
// had been applied. The floor is one client that keeps a message as a row.
func (s *suite) drain(b *testing.B) {
	url := pgtest.DurableURL(b)
	db := connect(b, url)
	_, err := db.Exec(b.Context(), floorTables)
	require.NoError(b, err)
	c := startClerk(b)
	const callers = 64
	p, messages := s.serve(b, c, url, "--no-workers"), newJoins(b, c)
	client, senders := openInserters(b, url, 1), newSenders(b, c, p.addr, callers)
	insert := func(int) error { return client.insert(b.Context(), 0, messages.next()) }
	closedLoop(b, 1, warmUp, insert)
	sent := 0
	s.table.compare(b, "drain of a backlog", "deliveries", func() float64 {
		return perSecond(b, 1, writeTime, insert)
	}, func() float64 {
		repeat(b, callers, backlog, func(caller int) error { return senders[caller].send(b.Context(), messages.next()) })
		sent += backlog
		workers := s.serve(b, c, url, "--no-web")
		until(b, db, `SELECT count(*) < $1 FROM rolecall.deliveries WHERE state = 'received'`, backlog)
		began, left := time.Now(), 0
		require.NoError(b, db.QueryRow(b.Context(), `SELECT count(*) FROM rolecall.deliveries WHERE state = 'received'`).Scan(&left))
		require.Greater(b, left, backlog/2, "most of the backlog is measured")
		untilApplied(b, db)
		rate := float64(left) / time.Since(began).Seconds()
		workers.stop(b)
		return rate
	})
	requireMembers(b, db, sent, 0)
}
