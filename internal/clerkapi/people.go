package clerkapi

import (
	"context"
	"math"
	"time"
)

// admitInteractive lets an interactive call be sent, or says how long it has to wait.
func (b *budget) admitInteractive(ctx context.Context, i *interactive) error {
	if taken, err := b.takeInteractive(i, false); taken || err != nil {
		return err
	}
	if err := b.leaseInteractive(ctx, i); err != nil {
		return err
	}
	_, err := b.takeInteractive(i, true)
	return err
}

// takeInteractive takes a call for interactive work. It takes none that isn't leased, unless the
// caller may send it without a lease.
func (b *budget) takeInteractive(i *interactive, may bool) (taken bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if err := b.refuses(i, now); err != nil {
		return false, err
	}
	if !may && b.leases != nil && !b.leases.covers(i, now) {
		return false, nil
	}
	b.take(i, now)
	return true, nil
}

// refuses returns an error if this client alone has no call left.
func (b *budget) refuses(i *interactive, now time.Time) error {
	if left := b.pauses.left(i.purpose, now); left > 0 {
		return rateLimited("Clerk asked to wait", left)
	}
	if wait := b.strangersWait(i, now); wait > 0 {
		return rateLimited("the budget for strangers has no call left", wait)
	}
	if wait := b.limitWait(i, now); wait > 0 {
		return rateLimited("Clerk's limit is nearly used up", wait)
	}
	return nil
}

// need is how many calls must be free. New interactive work needs enough for all its calls, and
// these are kept for it until it ends. Otherwise calls would be spent on work that can't be
// finished.
func (i *interactive) need() float64 {
	if i.begun {
		return 1
	}
	return i.purpose.calls()
}

// limitWait returns how long to wait because too few of Clerk's calls are left. New interactive
// work must also leave enough for more urgent work.
func (b *budget) limitWait(i *interactive, now time.Time) time.Duration {
	need := i.need()
	if !i.begun {
		need += i.purpose.left()
	}
	missing := float64(b.sent.used(now)) + b.saved.all - i.saved + need - b.limit*commandReach
	if missing <= 0 {
		return 0
	}
	return b.sent.until(int(math.Ceil(missing)), now)
}

// strangersWait returns how long to wait because strangers have used up their share.
func (b *budget) strangersWait(i *interactive, now time.Time) time.Duration {
	if i.purpose != ForStranger {
		return 0
	}
	missing := i.need() + b.saved.strangers - i.saved - b.strangers.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / float64(b.strangers.Limit()) * float64(time.Second))
}

// take counts the call. It is charged to background calls, which then wait for one more turn,
// unless too many have been charged to them already.
func (b *budget) take(i *interactive, now time.Time) {
	if !i.begun {
		i.begun = true
		b.save(i, i.purpose.calls())
		i.atEnd(func() { b.giveBack(i) })
	}
	if i.saved > 0 {
		b.save(i, -1)
	}
	b.sent.add(now)
	if b.leases != nil {
		b.leases.take(i, now)
	}
	if i.purpose == ForStranger {
		b.strangers.AllowN(now, 1)
	}
	if b.charged.AllowN(now, 1) {
		b.shared.ReserveN(now, 1)
	}
}

// save keeps more calls for work that has begun, or fewer if calls is negative.
func (b *budget) save(i *interactive, calls float64) {
	i.saved += calls
	b.saved.all += calls
	if i.purpose == ForStranger {
		b.saved.strangers += calls
	}
}

// giveBack frees the calls that were kept for work that has ended.
func (b *budget) giveBack(i *interactive) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.save(i, -i.saved)
	if b.leases != nil {
		b.leases.giveBack(i, time.Now())
	}
}
