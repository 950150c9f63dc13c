// Package testlog collects what a test logs, so that the test can look at it. It guarantees that
// several loggers may write at the same time, and that each line stays whole.
package testlog

import (
	"bytes"
	"log/slog"
	"sync"
)

// Lines are the lines that were logged, as JSON. The zero value is ready.
type Lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Logger returns a logger that adds to the lines.
func (l *Lines) Logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// Write implements io.Writer.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all lines.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
