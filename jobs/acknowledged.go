package jobs

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/callmine/rolecall/store"
)

const (
	// rememberedDeliveries is how many deliveries a process remembers: those of half a minute at a
	// thousand a second, in two or three megabytes. A standby that takes over is seldom farther
	// behind. Otherwise it is noted that more may be missing.
	rememberedDeliveries = 1 << 15
	// rememberedOthers is how many commands, and how many entries of services, a process remembers.
	rememberedOthers = 1 << 12
	// remembersFor is how long something is remembered. It is less than the shortest life of the
	// records, so that nothing that was pruned counts as lost.
	remembersFor = 12 * time.Hour
	// askedAtOnce bounds one question about what is missing.
	askedAtOnce = 4096
	// sampled bounds the regular question whether the newest is still there.
	sampled = 64
)

// Acknowledged remembers what a process acknowledged lately, outside of what a failover can roll
// back. So a failover that lost some of it can't hide that. Its zero value remembers nothing yet.
type Acknowledged struct {
	mu    sync.Mutex
	kinds map[store.AcknowledgedKind]*memory
}

// memory is what is remembered of one kind, in the order in which it was acknowledged.
type memory struct {
	ring   []remembered // grows up to its limit
	limit  int
	oldest int  // its place, once the ring is full
	forgot bool // something was overwritten
}

type remembered struct {
	id   string
	at   int64 // nanoseconds since 1970
	lost bool  // it is known to be missing
}

// Lost is what a process remembers as acknowledged, and the database lacks.
type Lost struct {
	Kind    store.AcknowledgedKind
	Missing []store.Acknowledged // the oldest first
	// More says that the process remembers nothing older than the first one, so that more may be
	// missing.
	More bool
}

// RememberSince is [Acknowledged.Remember] of something whose record may be from an earlier
// instant. It does nothing if that is long ago: no failover loses such a record, but its life may
// be over soon.
func (a *Acknowledged) RememberSince(kind store.AcknowledgedKind, id string, recorded time.Time) {
	if time.Since(recorded) < remembersFor {
		a.Remember(kind, id)
	}
}

// Remember notes that something is acknowledged. It must come before its sender learns of it.
func (a *Acknowledged) Remember(kind store.AcknowledgedKind, id string) {
	now := time.Now().UnixNano()
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.kinds[kind]
	if m == nil {
		m = &memory{limit: rememberedOthers}
		if kind == store.AcknowledgedDelivery {
			m.limit = rememberedDeliveries
		}
		if a.kinds == nil {
			a.kinds = map[store.AcknowledgedKind]*memory{}
		}
		a.kinds[kind] = m
	}
	m.add(remembered{id: id, at: now})
}

func (m *memory) add(r remembered) {
	if len(m.ring) < m.limit {
		m.ring = append(m.ring, r)
		return
	}
	m.ring[m.oldest] = r
	m.oldest = (m.oldest + 1) % m.limit
	m.forgot = true
}

// since returns what was acknowledged from an instant on, the oldest first, and whether older ones
// were forgotten.
func (a *Acknowledged) since(kind store.AcknowledgedKind, from time.Time) (recent []remembered, forgot bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.kinds[kind]
	if m == nil {
		return nil, false
	}
	for i := range m.ring {
		if r := m.ring[(m.oldest+i)%len(m.ring)]; r.at >= from.UnixNano() {
			recent = append(recent, r)
		}
	}
	return recent, m.forgot || len(recent) < len(m.ring)
}

// FindLost asks a database which of all that is remembered it lacks.
func (a *Acknowledged) FindLost(ctx context.Context, db store.DBTX) (all []Lost, err error) {
	for _, kind := range store.AcknowledgedKinds() {
		recent, forgot := a.since(kind, time.Now().Add(-remembersFor))
		lost := Lost{Kind: kind}
		for asked := range slices.Chunk(recent, askedAtOnce) {
			missing, err := missingOf(ctx, db, kind, asked)
			if err != nil {
				return nil, err
			}
			lost.Missing = append(lost.Missing, missing...)
		}
		if len(lost.Missing) > 0 {
			lost.More = forgot && lost.Missing[0].ID == recent[0].id
			all = append(all, lost)
		}
	}
	return all, nil
}

// MarkLost notes that something is known to be missing, and returns how much of it wasn't known so
// before.
func (a *Acknowledged) MarkLost(lost Lost) (fresh int) {
	is := make(map[string]bool, len(lost.Missing))
	for _, m := range lost.Missing {
		is[m.ID] = true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.kinds[lost.Kind]
	for i := range m.ring {
		r := &m.ring[i]
		if is[r.id] && !r.lost {
			r.lost = true
			fresh++
		}
	}
	return fresh
}

// Lacks reports whether a database lacks any of the newest things that were acknowledged from an
// instant on, or the newest one before, without those that are known to be missing. It asks about a
// few of them. What a failover loses is always the newest.
func (a *Acknowledged) Lacks(ctx context.Context, db store.DBTX, from time.Time) (bool, error) {
	for _, kind := range store.AcknowledgedKinds() {
		recent := a.newest(kind, from)
		missing, err := missingOf(ctx, db, kind, recent)
		if err != nil || len(missing) > 0 {
			return len(missing) > 0, err
		}
	}
	return false, nil
}

// newest returns a sample of what was acknowledged from an instant on, and the newest one before.
func (a *Acknowledged) newest(kind store.AcknowledgedKind, from time.Time) (sample []remembered) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.kinds[kind]
	if m == nil {
		return nil
	}
	at := func(back int) remembered { return m.ring[(m.oldest-1-back+2*len(m.ring))%len(m.ring)] }
	n := 0
	for n < len(m.ring) && at(n).at >= from.UnixNano() {
		n++
	}
	n = min(n+1, len(m.ring))
	for i := range min(n, sampled) {
		back := i
		if n > sampled {
			back = i * (n - 1) / (sampled - 1) // the newest and the oldest are among them
		}
		if r := at(back); !r.lost && time.Since(time.Unix(0, r.at)) < remembersFor {
			sample = append(sample, r)
		}
	}
	return sample
}

// missingOf asks a database which of the remembered things it lacks.
func missingOf(ctx context.Context, db store.DBTX, kind store.AcknowledgedKind, asked []remembered) ([]store.Acknowledged, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	ids := make([]string, len(asked))
	for i, r := range asked {
		ids[i] = r.id
	}
	lacking, err := store.Missing(ctx, db, kind, ids)
	if err != nil || len(lacking) == 0 {
		return nil, err
	}
	is := make(map[string]bool, len(lacking))
	for _, id := range lacking {
		is[id] = true
	}
	var missing []store.Acknowledged
	for _, r := range asked {
		if is[r.id] {
			missing = append(missing, store.Acknowledged{ID: r.id, At: time.Unix(0, r.at).UTC()})
			delete(is, r.id) // a repeat is remembered twice
		}
	}
	return missing, nil
}
