package pgdev

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// tailLines is how many lines of Postgres' log an error shows: its reasons for not starting take
// two to five.
const tailLines = 12

// logTail passes a server's log on line by line and remembers its end.
type logTail struct {
	logger *slog.Logger

	mu      sync.Mutex
	partial []byte
	lines   []string
}

// Write takes any piece of the log; lines may be split over calls.
func (t *logTail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partial = append(t.partial, p...)
	for {
		line, rest, ok := bytes.Cut(t.partial, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		t.logger.Debug("postgres", "line", string(line))
		if t.lines = append(t.lines, string(line)); len(t.lines) > tailLines {
			t.lines = t.lines[1:]
		}
		t.partial = rest
	}
}

// String is the end of the log.
func (t *logTail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
