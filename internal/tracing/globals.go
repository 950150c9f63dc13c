package tracing

import (
	"context"
	"log/slog"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

// LogFaults sends the SDK's own faults, such as variables that it can't read, to a logger instead
// of stderr. It is for the start of a program: the SDK has one place for all of a process.
func LogFaults(logger *slog.Logger) {
	otel.SetLogger(logr.Discard()) // it may print what variables contain
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.WarnContext(context.Background(), "OpenTelemetry", "error", err)
	}))
}
