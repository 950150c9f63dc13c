package bench_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// webhooks measures deliveries from their signature to the mirror. Each makes a new user a member
// of a new organization. A round ends when all are applied. The floor keeps as many messages as
// rows, with as many clients.
func (s *suite) webhooks(b *testing.B) {
	url := pgtest.DurableURL(b)
	db := connect(b, url)
	_, err := db.Exec(b.Context(), floorTables)
	require.NoError(b, err)
	c := startClerk(b)
	p, messages := s.serve(b, c, url), newJoins(b, c)
	w := &webhooksBench{suite: s, clerk: c, program: p, url: url, db: db, messages: messages, cost: newCost(b, p, db)}
	atRest, _ := w.cost.memory(b)
	for _, callers := range callerCounts() {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { w.from(b, callers) })
	}
	_, most := w.cost.memory(b)
	s.table.add("webhook → mirror, memory of the program", "–", atRest+" at rest, "+most+" at most", "–")
	requireMembers(b, db, w.sent, 0)
}

// webhooksBench is a program that takes webhooks, and what it was sent.
type webhooksBench struct {
	*suite

	clerk    *clerk
	program  *program
	url      string
	db       *pgx.Conn
	messages *joins
	cost     cost
	sent     int
}

// from measures deliveries from so many callers.
func (w *webhooksBench) from(b *testing.B, callers int) {
	b.Helper()
	clients, senders := openInserters(b, w.url, callers), newSenders(b, w.clerk, w.program.addr, callers)
	insert := func(client int) error { return clients.insert(b.Context(), client, w.messages.next()) }
	var spent used
	measured := 0
	deliver := func(length time.Duration) float64 {
		before, began := w.cost.processorTime(b), time.Now()
		done := closedLoop(b, callers, length, func(caller int) error { return senders[caller].send(b.Context(), w.messages.next()) })
		untilApplied(b, w.db)
		took := time.Since(began)
		spent, measured = spent.plus(w.cost.processorTime(b).minus(before)), measured+done
		return float64(done) / took.Seconds()
	}
	closedLoop(b, callers, warmUp, insert)
	deliver(warmUp)
	w.table.compare(b, "webhook → mirror, "+plural(callers), "deliveries", func() float64 {
		return perSecond(b, callers, writeTime, insert)
	}, func() float64 {
		return deliver(writeTime)
	})
	w.table.add("the same, processor time of a delivery", "–", spent.each(measured), "–")
	w.sent += measured
}
