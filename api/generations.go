package api

import "sync"

// generations is a map of bounded size. It holds its entries in two generations: when the young one is full it becomes
// the old one, and the old one is forgotten. An entry that is found in the old one moves to the young one. That keeps
// what is in use like an LRU list would, without a list to lock at every hit.
type generations[K comparable, V any] struct {
	capacity int // of one generation

	mu         sync.RWMutex
	young, old map[K]V
}

// newGenerations returns an empty map for at most limit entries, at least two.
func newGenerations[K comparable, V any](limit int) *generations[K, V] {
	return &generations[K, V]{capacity: limit / 2, young: map[K]V{}}
}

// find returns the value of a key, or the zero value if there is none.
func (g *generations[K, V]) find(key K) V {
	g.mu.RLock()
	value, isYoung := g.young[key]
	aged, isOld := g.old[key]
	g.mu.RUnlock()
	if !isYoung && isOld {
		g.remember(key, aged)
		return aged
	}
	return value
}

// remember adds or replaces an entry.
func (g *generations[K, V]) remember(key K, value V) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.young) >= g.capacity {
		g.old, g.young = g.young, make(map[K]V)
	}
	g.young[key] = value
}

// forget drops an entry.
func (g *generations[K, V]) forget(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.young, key)
	delete(g.old, key)
}

// size returns the number of entries held, at most the limit.
func (g *generations[K, V]) size() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.young) + len(g.old)
}
