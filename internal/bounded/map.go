package bounded

import "sync"

// Map is a map of bounded size. It holds its entries in two generations. When the young generation
// is full, it becomes the old one, and the old one is forgotten. An entry that is found in the old
// generation moves to the young one. So entries in use stay, as in an LRU list, but without a list
// to lock at every hit.
type Map[K comparable, V any] struct {
	capacity int // of one generation

	mu         sync.RWMutex
	young, old map[K]V
}

// NewMap returns an empty map for at most limit entries. The limit must be at least two.
func NewMap[K comparable, V any](limit int) *Map[K, V] {
	return &Map[K, V]{capacity: limit / 2, young: map[K]V{}}
}

// Find returns the value of a key, or the zero value if there is none.
func (m *Map[K, V]) Find(key K) V {
	m.mu.RLock()
	value, isYoung := m.young[key]
	aged, isOld := m.old[key]
	m.mu.RUnlock()
	if !isYoung && isOld {
		m.Put(key, aged)
		return aged
	}
	return value
}

// Put adds or replaces an entry.
func (m *Map[K, V]) Put(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young) >= m.capacity {
		m.old, m.young = m.young, make(map[K]V)
	}
	m.young[key] = value
}

// Delete drops an entry.
func (m *Map[K, V]) Delete(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.young, key)
	delete(m.old, key)
}

// Len returns the number of entries, which is at most the limit.
func (m *Map[K, V]) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.young) + len(m.old)
}
