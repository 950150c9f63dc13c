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
	sent := 0
	for _, callers := range callerCounts() {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			sent += s.webhooksFrom(b, c, p.addr, url, db, messages, callers)
		})
	}
	requireMembers(b, db, sent)
}

// webhooksFrom returns how many messages it has sent.
func (s *suite) webhooksFrom(b *testing.B, c *clerk, addr, url string, db *pgx.Conn, messages *joins, callers int) (sent int) {
	b.Helper()
	clients, courier := openInserters(b, url, callers), newCourier(b, c, addr, callers)
	insert := func(client int) error { return clients.insert(b.Context(), client, messages.next()) }
	deliver := func(length time.Duration) float64 {
		began := time.Now()
		done := closedLoop(b, callers, length, func(int) error { return send(b.Context(), courier, messages.next()) })
		untilApplied(b, db)
		sent += done
		return float64(done) / time.Since(began).Seconds()
	}
	closedLoop(b, callers, warmUp, insert)
	deliver(warmUp)
	s.table.compare(b, "webhook → mirror, "+plural(callers), "deliveries", func() float64 {
		return perSecond(b, callers, writeTime, insert)
	}, func() float64 {
		return deliver(writeTime)
	})
	return sent
}
