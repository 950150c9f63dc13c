package request

import (
	"context"
	"log/slog"
)

// Log returns a handler that adds, to each line that is logged under a request's context, the
// request's id. Warnings and errors also get its method, its path and its route, and what was noted
// of it.
func Log(next slog.Handler) slog.Handler { return logHandler{next} }

type logHandler struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h logHandler) Handle(ctx context.Context, line slog.Record) error {
	if r := Of(ctx); r != nil {
		line = line.Clone()
		line.AddAttrs(slog.String("request_id", r.ID))
		if line.Level >= slog.LevelWarn {
			line.AddAttrs(slog.String("method", r.Method()), slog.String("path", r.Path()), slog.String("route", r.Route()))
			line.AddAttrs(r.Notes()...)
		}
	}
	return h.Handler.Handle(ctx, line)
}

// WithAttrs implements [slog.Handler].
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
