package servicetest

import (
	"bytes"
	"sync"
)

// Log is a bytes.Buffer that several goroutines may use.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *Log) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *Log) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}
