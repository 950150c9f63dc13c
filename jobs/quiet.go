package jobs

import (
	"context"
	"log/slog"
)

// quiet passes on River's warnings and errors only. River logs every routine step at lower levels.
func quiet(logger *slog.Logger) *slog.Logger {
	return slog.New(levelHandler{Handler: logger.Handler(), least: slog.LevelWarn}).With(LoggedBy, "river")
}

// LoggedBy is the attribute that River's lines have. Their errors are text, so that nobody can tell
// from a line why it was written.
const LoggedBy = "logged_by"

// levelHandler drops records below a level.
type levelHandler struct {
	slog.Handler
	least slog.Level
}

func (h levelHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.least && h.Handler.Enabled(ctx, level)
}

func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelHandler{Handler: h.Handler.WithAttrs(attrs), least: h.least}
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{Handler: h.Handler.WithGroup(name), least: h.least}
}
