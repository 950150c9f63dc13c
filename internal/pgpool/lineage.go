package pgpool

import (
	"fmt"
	"sync"
)

// Identity names a database server: its cluster, and its timeline, which each promotion raises.
type Identity struct {
	System   string // "" if the server doesn't tell
	Timeline uint32 // 0 if the server doesn't tell
}

// String is for people.
func (i Identity) String() string { return fmt.Sprintf("system %s, timeline %d", i.System, i.Timeline) }

// Differs reports whether two identities are of different servers, as far as both are known.
func (i Identity) Differs(other Identity) bool {
	return i.elsewhere(other) || i.Timeline != 0 && other.Timeline != 0 && i.Timeline != other.Timeline
}

// elsewhere reports whether two identities are of different clusters, as far as both are known.
func (i Identity) elsewhere(other Identity) bool {
	return i.System != "" && other.System != "" && i.System != other.System
}

// Change reports that the database is another one than before: acknowledged commits may be missing.
type Change struct {
	Before, After               Identity
	FlushedBefore, FlushedAfter uint64 // positions in the WAL: the highest one seen, and that of the first session afterwards
}

// Lineage is what a process knows of its server. As soon as one session shows a newer server, all
// older sessions are cut, also in the middle of a statement or of their opening: of two primaries
// only the newer one answers, and nothing waits for one that hangs.
type Lineage struct {
	changed func(Change)

	mu       sync.Mutex
	known    Identity
	flushed  uint64 // the highest position in the WAL that any session showed
	epoch    int    // counts the changes
	sessions map[*wire]struct{}

	led       string              // the address at which the server was found last
	addresses map[string][]string // of hosts, as they were looked up last
}

// torn is how far a primary may fall back in a crash without losing a commit. The file may end in
// the middle of a record, and recovery stops before that record. A record may hold 33 pages of a
// table or index, about 270 KiB, and is seldom longer.
const torn = 1 << 20

// NewLineage returns a lineage without a server. It calls changed at each change; changed must not
// block, and may be nil.
func NewLineage(changed func(Change)) *Lineage {
	if changed == nil {
		changed = func(Change) {}
	}
	return &Lineage{changed: changed, sessions: map[*wire]struct{}{}, addresses: map[string][]string{}}
}

// Learn sets the server that the process begins with. Sessions of URLs that follow can't set the
// first server themselves.
func (l *Lineage) Learn(i Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.learn(i)
}

// Known returns the newest identity that any session showed.
func (l *Lineage) Known() Identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known
}

// current reports whether a session of an epoch belongs to the current server.
func (l *Lineage) current(epoch int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return epoch == l.epoch
}

// floor is a position in the WAL. From now on, a primary that is asked has at least this much on
// disk, unless the server changes.
type floor struct {
	flushed uint64
	epoch   int
}

func (l *Lineage) floor() floor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return floor{l.flushed, l.epoch}
}

// observe judges what a session shows, and learns a newer server from it. The floor is from before
// the session was asked. observe returns the epoch of the session. Only a session of the URL for
// writes, which leads, may show another cluster. The others follow.
func (l *Lineage) observe(w *wire, s seen, least floor, leads bool) (int, error) {
	l.mu.Lock()
	before, change := l.known, false
	switch {
	case s.identity.Timeline == 0 || l.known.Timeline == 0: // unknown, or the first session
	case l.known.elsewhere(s.identity) && !leads:
		l.mu.Unlock()
		return 0, refuse(ReasonOtherSystem, "the server is of another cluster (%s) than the one that is written to (%s)", s.identity, before)
	case l.known.elsewhere(s.identity):
		change = true
	case s.identity.Timeline < l.known.Timeline:
		l.mu.Unlock()
		return 0, refuse(ReasonOlderTimeline, "the server is on timeline %d, and another one was promoted to timeline %d: it is out of date. "+
			"If it is to be the primary again, stop the other one and restart Rolecall", s.identity.Timeline, before.Timeline)
	case s.identity.Timeline > l.known.Timeline, s.flushed+torn < least.flushed && least.epoch == l.epoch && leads:
		change = true
	}
	told := Change{Before: before, After: s.identity, FlushedBefore: l.flushed, FlushedAfter: s.flushed}
	if change {
		l.epoch++
		l.flushed = 0
	}
	if leads || l.known.Timeline != 0 {
		l.learn(s.identity)
		l.flushed = max(l.flushed, s.flushed)
	}
	if w != nil {
		w.epoch, w.observed = l.epoch, true
		if leads {
			l.led = w.addr
		}
	}
	epoch, older := l.epoch, l.older(w)
	l.mu.Unlock()
	for _, w := range older {
		w.cut()
	}
	if change {
		l.changed(told)
	}
	return epoch, nil
}

// learn makes a session's server the current one.
func (l *Lineage) learn(i Identity) {
	if i.Timeline != 0 {
		l.known.Timeline = i.Timeline
	}
	if i.System != "" {
		l.known.System = i.System
	}
}

// older lists the sessions of servers that aren't current any more, and those that have hung.
func (l *Lineage) older(by *wire) []*wire {
	var older []*wire
	for w := range l.sessions {
		if w.overtaken(by) {
			older = append(older, w)
		}
	}
	return older
}
