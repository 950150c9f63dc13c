package clerkapi

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// leaseLasts is how long leased calls may be sent. A killed client's leases count for so long,
	// and one window longer. A client that was stopped meanwhile sends none of them.
	leaseLasts = 2 * time.Second
	// leaseAhead is for how long background calls are leased at once: so many seconds of their
	// rate. It is the cost of a sweep, four statements a second.
	leaseAhead = 0.25
	// leaseTimeout bounds one question for a lease.
	leaseTimeout = time.Second
	// tellAfter is how long after its last lease a client tells what became of it. Then calls that
	// were sent count from when they were sent, and those that weren't are free.
	tellAfter = time.Second
	// aloneShare is the part of Clerk's limit that a client may use, one call at least, while it
	// can't learn what the others use, or doesn't know the limit.
	aloneShare = 0.01
	// overdraft is how many seconds' worth of background calls all clients together may have
	// leased at once. Each paces itself, a second's worth at once; the rest is leased in advance.
	overdraft = 2
)

// errNoLease means that nobody says how many calls are left. The client then has few of its own.
var errNoLease = errors.New("the database doesn't say how many calls to Clerk are left")

// leases are the calls that a client may send because all clients of the instance count them
// already. Asking is by turns; the budget's lock guards everything else.
type leases struct {
	ask    Lease
	logger *slog.Logger
	client int64
	asking chan struct{} // holds a value while somebody asks

	turn       int64
	term       int       // rises when leases end unused
	until      time.Time // end of all leases
	background int64     // leased for background calls, and not sent
	groups     int64     // leased for interactive calls, and not sent
	told       int64     // leased calls that the others count
	news       pauses    // that Clerk asked this client for, and that the others don't know
	alone      window    // calls that were sent without a lease
	askAgain   time.Time // after a question that failed
	teller     *time.Timer
	closed     bool
}

// wish is what a client wants to lease.
type wish struct {
	purpose     Purpose
	least, want float64
	most        float64 // of all clients' calls
}

func newLeases(ask Lease, logger *slog.Logger) *leases {
	return &leases{ask: ask, logger: logger, client: rand.Int64(), asking: make(chan struct{}, 1)} //nolint:gosec // it only must be another one
}

// held returns how many leased calls may still be sent. At their end, all leases end unused.
func (l *leases) held(now time.Time) int64 {
	if !now.Before(l.until) && l.background+l.groups > 0 {
		l.background, l.groups = 0, 0
		l.term++
	}
	return l.background + l.groups
}

// takeBackground takes a leased background call, if there is one.
func (l *leases) takeBackground(now time.Time) bool {
	if l.held(now) == 0 || l.background == 0 {
		return false
	}
	l.background--
	return true
}

// covers reports whether a call is leased for interactive work.
func (l *leases) covers(i *interactive, now time.Time) bool {
	return l.held(now) > 0 && i.term == l.term && i.leased > 0
}

// take takes a call that is leased for interactive work.
func (l *leases) take(i *interactive, now time.Time) {
	if l.covers(i, now) {
		i.leased--
		l.groups--
	}
}

// giveBack frees the calls that are leased for work that has ended.
func (l *leases) giveBack(i *interactive, now time.Time) {
	if l.covers(i, now) {
		l.groups -= i.leased
	}
	i.leased = 0
}

// takeAlone counts a call without a lease, or returns how long to wait for one.
func (l *leases) takeAlone(limit float64, now time.Time) time.Duration {
	if over := l.alone.used(now) + 1 - max(1, int(limit*aloneShare)); over > 0 {
		return l.alone.until(over, now)
	}
	l.alone.add(now)
	return 0
}

// mayLearn reports whether a call that nobody granted is sent all the same, to learn the kind of
// the instance. Until then a client takes a limit of [productionLimit] for one of
// [developmentLimit]: where others use more than that, it would get no call for as long.
func (b *budget) mayLearn(now time.Time) bool {
	return !b.fitted && b.leases.alone.used(now) == 0
}

// lease asks for calls. It hands those that were granted to into, under the budget's lock.
// Questions of one client are asked one after the other: needed says whether it is still to be
// asked.
func (b *budget) lease(ctx context.Context, w wish, needed func() bool, into func(calls int64)) (clerksync.CallLease, error) {
	l := b.leases
	select {
	case l.asking <- struct{}{}:
		defer func() { <-l.asking }()
	case <-ctx.Done():
		return clerksync.CallLease{}, ctx.Err()
	}
	b.mu.Lock()
	began := time.Now()
	if !needed() {
		b.mu.Unlock()
		return clerksync.CallLease{}, nil
	}
	if began.Before(l.askAgain) {
		l.tell(b, tellAfter)
		b.mu.Unlock()
		return clerksync.CallLease{}, errNoLease
	}
	demand, news := b.demand(w, began), l.news
	b.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTimeout) // cancelling a statement closes its connection
	defer cancel()
	lease, err := l.ask(ctx, demand)

	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	defer l.tell(b, tellAfter)
	if err != nil || now.Sub(began) >= leaseLasts {
		l.askAgain = now.Add(leaseTimeout)
		l.logger.WarnContext(ctx, "how many calls to Clerk are left isn't known: few are sent", "error", err)
		return clerksync.CallLease{}, errNoLease
	}
	if l.news == news {
		l.news = pauses{}
	}
	for purpose, left := range lease.Paused[:min(len(lease.Paused), len(b.pauses))] {
		if until := now.Add(left); left > 0 && until.After(b.pauses[purpose]) {
			b.pauses[purpose] = until
		}
	}
	l.held(now) // what ended meanwhile isn't prolonged
	l.until, l.told = began.Add(leaseLasts), demand.Held+lease.Granted
	if lease.Granted > 0 {
		into(lease.Granted)
	}
	return lease, nil
}

// demand is what is told and asked.
func (b *budget) demand(w wish, now time.Time) clerksync.CallDemand {
	l := b.leases
	l.turn++
	r := b.callsPerSecond(b.limit)
	d := clerksync.CallDemand{
		Client: l.client, Turn: l.turn, Window: clerksWindow.Seconds(), Sent: b.sent.ages(now), Held: l.held(now), Lasts: leaseLasts.Seconds(),
		Purpose: int(w.purpose), Least: int64(math.Ceil(w.least)), Want: int64(math.Ceil(w.want)), Most: int64(math.Floor(w.most)),
		Background: clerksync.CallRate{PerSecond: r, Burst: float64(overdraft * burst(1, r))},
		Strangers:  clerksync.CallRate{PerSecond: r * strangersShare, Burst: float64(burst(strangersBurst, r))},
		Charged:    clerksync.CallRate{PerSecond: r * strangersShare, Burst: float64(burst(chargedBurst, r))},
	}
	if l.news != (pauses{}) {
		for _, until := range l.news {
			d.Paused = append(d.Paused, max(0, until.Sub(now).Seconds()))
		}
	}
	return d
}

// leaseInteractive leases the calls of interactive work.
func (b *budget) leaseInteractive(ctx context.Context, i *interactive) error {
	b.mu.Lock()
	w := wish{purpose: i.purpose, least: i.need(), want: max(i.need(), i.saved), most: b.limit * commandReach}
	if !i.begun {
		w.most -= i.purpose.left()
	}
	b.mu.Unlock()
	l := b.leases
	lease, err := b.lease(ctx, w, func() bool { return !l.covers(i, time.Now()) }, func(calls int64) {
		if i.term != l.term {
			i.term, i.leased = l.term, 0
		}
		i.leased += calls
		l.groups += calls
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch left := b.pauses.left(i.purpose, now); {
	case ctx.Err() != nil:
		return ctx.Err()
	case left > 0:
		return rateLimited("Clerk asked to wait", left)
	case l.covers(i, now):
		return nil
	case err == nil && !b.mayLearn(now):
		return rateLimited("the calls of all processes together nearly use Clerk's limit up", max(lease.Wait, time.Millisecond))
	}
	if wait := l.takeAlone(b.limit, now); wait > 0 {
		return rateLimited(errNoLease.Error(), min(wait, leaseTimeout))
	}
	return nil
}

// leaseBackground leases background calls, or returns how long to wait for some. A client that
// can't ask has few of its own, and its callers put their work off beyond them.
func (b *budget) leaseBackground(ctx context.Context) (taken bool, wait time.Duration, err error) {
	b.mu.Lock()
	w := wish{least: 1, want: max(1, b.callsPerSecond(b.limit)*leaseAhead), most: b.limit * backgroundReach}
	b.mu.Unlock()
	l := b.leases
	asked := false
	lease, err := b.lease(ctx, w, func() bool {
		asked = l.held(time.Now()) == 0 || l.background == 0
		return asked
	}, func(calls int64) { l.background += calls })
	switch {
	case err == nil && (!asked || lease.Granted != 0):
		return false, 0, nil
	case ctx.Err() != nil:
		return false, 0, ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if err == nil && (b.pauses.left(background, now) > 0 || !b.mayLearn(now)) {
		return false, max(lease.Wait, time.Millisecond), nil
	}
	if wait := l.takeAlone(b.limit, now); wait > 0 {
		return false, 0, rateLimited(errNoLease.Error(), min(wait, leaseTimeout))
	}
	b.sent.add(now)
	return true, 0, nil
}

// tell arranges that the others learn what became of the leases, after a while without another
// question. Until then, they count too many calls of this client, never too few.
func (l *leases) tell(b *budget, after time.Duration) {
	switch {
	case l.closed:
	case l.teller == nil:
		l.teller = time.AfterFunc(after, func() { b.tellOthers() })
	default:
		l.teller.Reset(after)
	}
}

// tellOthers tells the others what was sent, and prolongs the leases of interactive work that goes
// on. Background leases that weren't used lately are given back.
func (b *budget) tellOthers() {
	l := b.leases
	nothing := func(int64) {}
	_, _ = b.lease(context.Background(), wish{}, func() bool {
		now := time.Now()
		if l.closed {
			return false
		}
		l.held(now)
		l.background = 0
		if !now.Before(l.until) {
			l.told = 0 // the others don't count them any longer than that, and one window
		}
		return l.groups > 0 || l.told > 0 || l.untold(now)
	}, nothing)
}

// untold reports whether the others don't know yet that calls pause.
func (l *leases) untold(now time.Time) bool {
	for _, until := range l.news {
		if until.After(now) {
			return true
		}
	}
	return false
}

// close gives all leases back, and tells no more.
func (b *budget) close() {
	l := b.leases
	if l == nil {
		return
	}
	_, _ = b.lease(context.Background(), wish{}, func() bool {
		l.closed = true
		if l.teller != nil {
			l.teller.Stop()
		}
		l.background, l.groups = 0, 0
		l.term++
		return l.told > 0 || l.untold(time.Now())
	}, func(int64) {})
}
