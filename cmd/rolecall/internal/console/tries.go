package console

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/callmine/rolecall/internal/bounded"
)

const (
	// maxTries is how many wrong tokens one address may send in a tryWindow.
	maxTries  = 5
	tryWindow = time.Minute
	// maxAddresses bounds the addresses that are remembered: some 10 MB.
	maxAddresses = 100_000
	// refusalEvery and refusalBurst bound the refused sign-ins that the audit log of one process gets:
	// some 1,500 a day at most.
	refusalEvery = time.Minute
	refusalBurst = 5
)

// tries limits the wrong tokens of each address.
//
// The address is that of the connection. A header could be forged, so behind a proxy all operators
// share the proxy's address: wrong tries of one then hold up the signing in of others, and never
// more than that. Tokens are too long to be guessed even so.
type tries struct {
	now func() time.Time

	mu   sync.Mutex
	from *bounded.Map[netip.Prefix, *spree]
}

// spree are the tries of an address within one window.
type spree struct {
	since time.Time
	count int
}

func newTries(now func() time.Time) *tries {
	return &tries{now: now, from: bounded.NewMap[netip.Prefix, *spree](maxAddresses)}
}

// begin counts a try. It returns how long to wait before the next one, if there were too many.
func (t *tries) begin(address netip.Prefix) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	s := t.from.Find(address)
	if s == nil || now.Sub(s.since) >= tryWindow {
		s = &spree{since: now}
		t.from.Put(address, s)
	}
	if s.count >= maxTries {
		return tryWindow - now.Sub(s.since)
	}
	s.count++
	return 0
}

// forgive takes a try back whose token was right.
func (t *tries) forgive(address netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.from.Find(address); s != nil && s.count > 0 {
		s.count--
	}
}

// addressOf returns the address that sent a request.
func addressOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// networkOf returns the network that one sender has to itself: of IPv6, that of 64 bits.
func networkOf(address netip.Addr) netip.Prefix {
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// refusals bounds the entries of refused sign-ins.
type refusals struct {
	mu      sync.Mutex
	limit   *rate.Limiter
	now     func() time.Time
	waiting int // refusals since the last entry
}

func newRefusals(now func() time.Time) *refusals {
	return &refusals{limit: rate.NewLimiter(rate.Every(refusalEvery), refusalBurst), now: now}
}

// count counts a refusal. If an entry is due, it returns how many refusals it stands for.
func (r *refusals) count() (tries int, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting++
	if !r.limit.AllowN(r.now(), 1) {
		return 0, false
	}
	tries, r.waiting = r.waiting, 0
	return tries, true
}
