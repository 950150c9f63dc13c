package jobs

import (
	"sync/atomic"
	"time"
)

// pace is how fast the database answers: the time that beginning a transaction takes, of the last
// few. Its zero value is ready.
type pace struct{ nanos atomic.Int64 }

const (
	// usualPace is what beginning takes at most on a database that is near and not overloaded.
	usualPace = 2 * time.Millisecond
	// slowestPace bounds by how much a slow database stretches the bounds of brief transactions.
	slowestPace = 5
)

// took learns from a transaction.
func (p *pace) took(d time.Duration) {
	old := p.nanos.Load()
	p.nanos.Store(old + (int64(d)-old)/8) // that another worker's is lost at times does no harm
}

// stretch returns a bound as long as the database is slow: what is slow for all is no sign of a row
// that holds others up.
func (p *pace) stretch(d time.Duration) time.Duration {
	times := float64(p.nanos.Load()) / float64(usualPace)
	return time.Duration(float64(d) * min(max(times, 1), slowestPace))
}
