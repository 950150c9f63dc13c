package simulator

import "sync"

// changes wakes everyone who waits for the next change.
type changes struct {
	mu      sync.Mutex
	waiting chan struct{}
}

func newChanges() *changes { return &changes{waiting: make(chan struct{})} }

// next returns a channel that is closed at the next change.
func (c *changes) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

func (c *changes) note() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.waiting)
	c.waiting = make(chan struct{})
}
