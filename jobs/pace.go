package jobs

import (
	"sync/atomic"
	"time"
)

// pace measures how fast the database answers: how long the last few transactions took to begin.
// Its zero value is ready.
type pace struct{ nanos atomic.Int64 }

const (
	// usualPace is how long beginning takes at most on a nearby database that isn't overloaded.
	usualPace = 2 * time.Millisecond
	// slowestPace is how many times longer a slow database may make the bounds of brief
	// transactions.
	slowestPace = 5
)

// took learns from a transaction.
func (p *pace) took(d time.Duration) {
	old := p.nanos.Load()
	p.nanos.Store(old + (int64(d)-old)/8) // losing another worker's measurement does no harm
}

// stretch lengthens a bound while the database is slow: what is slow for all transactions is no
// sign of a row that holds them up.
func (p *pace) stretch(d time.Duration) time.Duration {
	times := float64(p.nanos.Load()) / float64(usualPace)
	return time.Duration(float64(d) * min(max(times, 1), slowestPace))
}
