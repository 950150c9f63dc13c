package edge

import (
	"log"
	"log/slog"
	"strings"
)

// ErrorLog returns the log of an [http.Server]. Callers can have it write, by a semicolon in a query for one. So each line has one
// constant message, and its first words as reason: the logger that limits lines knows by them which are of a kind.
func ErrorLog(logger *slog.Logger) *log.Logger {
	return log.New(&errorLog{logger: logger}, "", 0)
}

type errorLog struct{ logger *slog.Logger }

// Write implements [io.Writer].
func (l *errorLog) Write(line []byte) (int, error) {
	const telling = 3 // words, which come before what differs
	text := strings.TrimSpace(string(line))
	words := strings.Fields(text)
	l.logger.Warn("the HTTP server met an error", "reason", strings.Join(words[:min(telling, len(words))], " "), "error", text)
	return len(line), nil
}
