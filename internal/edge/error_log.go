package edge

import (
	"log"
	"log/slog"
	"strings"
)

// ErrorLog returns the log of an [http.Server]. Callers can cause lines in it, for example by a
// semicolon in a query. So every line has the same message, and its first words as reason. The
// limiter of log lines tells kinds apart by the reason.
func ErrorLog(logger *slog.Logger) *log.Logger {
	return log.New(&errorLog{logger: logger}, "", 0)
}

type errorLog struct{ logger *slog.Logger }

// Write implements [io.Writer].
func (l *errorLog) Write(line []byte) (int, error) {
	const telling = 3 // words, before the first that differs within a kind
	text := strings.TrimSpace(string(line))
	words := strings.Fields(text)
	l.logger.Warn("the HTTP server met an error", "reason", strings.Join(words[:min(telling, len(words))], " "), "error", text)
	return len(line), nil
}
