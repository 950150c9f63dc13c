package jobs

import (
	"sync/atomic"
	"time"
)

// pace measures how fast the database answers: how long the last few transactions took to begin.
// Its zero value is ready.
type pace struct{ nanos atomic.Int64 }

const (
	// usualPace is how long a transaction takes to begin, at most, if the database is near and not
	// overloaded.
	usualPace = 2 * time.Millisecond
	// slowestPace is the highest factor by which a slow database lengthens the bounds of brief
	// transactions.
	slowestPace = 5
)

// took adds the time that a transaction took to begin.
func (p *pace) took(d time.Duration) {
	old := p.nanos.Load()
	p.nanos.Store(old + (int64(d)-old)/8) // losing another worker's measurement does no harm
}

// stretch lengthens a bound while the database is slow. If all transactions are slow, no single row
// is to blame.
func (p *pace) stretch(d time.Duration) time.Duration {
	times := float64(p.nanos.Load()) / float64(usualPace)
	return time.Duration(float64(d) * min(max(times, 1), slowestPace))
}
