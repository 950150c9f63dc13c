package clerksim

import (
	"cmp"
	"slices"
)

// entry is the identity of a row and its place in listings.
type entry struct {
	id        string
	createdAt int64 // milliseconds
	sequence  uint64
}

func (e *entry) place() *entry { return e }

// row is implemented by types that embed an entry: a table holds them.
type row interface {
	comparable
	place() *entry
}

// table keeps rows by id and in order of creation. Creating a row in clock order and reading a page
// by offset cost the same in any size of table. So a sweep over a large world measures the sweeper,
// not the simulator.
type table[R row] struct {
	byID    map[string]R
	ordered []R
}

func newTable[R row]() table[R] { return table[R]{byID: make(map[string]R)} }

func compareRows[R row](a, b R) int {
	x, y := a.place(), b.place()
	return cmp.Or(cmp.Compare(x.createdAt, y.createdAt), cmp.Compare(x.sequence, y.sequence))
}

func (t *table[R]) find(id string) (R, bool) {
	found, ok := t.byID[id]
	return found, ok
}

func (t *table[R]) insert(r R) {
	t.byID[r.place().id] = r
	at, _ := slices.BinarySearchFunc(t.ordered, r, compareRows[R])
	t.ordered = slices.Insert(t.ordered, at, r)
}

func (t *table[R]) remove(r R) {
	delete(t.byID, r.place().id)
	if at, ok := slices.BinarySearchFunc(t.ordered, r, compareRows[R]); ok {
		t.ordered = slices.Delete(t.ordered, at, at+1)
	}
}

func (t *table[R]) len() int { return len(t.ordered) }
