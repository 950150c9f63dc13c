package tracing

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// faultEvery is how often a fault of the collector is logged at most.
const faultEvery = time.Minute

// sender sends spans, without anything that isn't known to be harmless. It logs what it can't send.
type sender struct {
	sdktrace.SpanExporter

	logger *slog.Logger
	ended  context.Context //nolint:containedctx // ends all sending
	end    context.CancelFunc

	sending sync.Mutex // held while spans are sent: the SDK sends one batch at a time

	mu     sync.Mutex
	logged time.Time // when a fault was logged last
	lost   int       // spans since then
}

func newSender(exporter sdktrace.SpanExporter, logger *slog.Logger) *sender {
	s := &sender{SpanExporter: exporter, logger: logger}
	s.ended, s.end = context.WithCancel(context.Background())
	return s
}

// ExportSpans implements [sdktrace.SpanExporter]. It returns no error, because the SDK would print
// each.
func (s *sender) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ended, cancel)()
	clean := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		clean[i] = cleaned{span}
	}
	if err := s.SpanExporter.ExportSpans(ctx, clean); err != nil {
		s.fail(ctx, err, len(spans))
	}
	return nil
}

// giveUp ends what is being sent, and waits for that. What is sent later fails at once.
func (s *sender) giveUp() {
	s.end()
	s.sending.Lock()
	defer s.sending.Unlock()
}

// fail counts spans that were lost, and logs them once in a while.
func (s *sender) fail(ctx context.Context, err error, spans int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += spans
	if now := time.Now(); s.logged.IsZero() || now.Sub(s.logged) >= faultEvery {
		s.logger.WarnContext(ctx, "traces can't be sent: spans are lost", "spans", s.lost, "error", shortened(err.Error()))
		s.logged, s.lost = now, 0
	}
}

// maxFault bounds how much of a fault is logged, in bytes. A fault has the collector's whole
// answer, such as the page of a proxy before it.
const maxFault = 300

func shortened(fault string) string {
	if len(fault) <= maxFault {
		return fault
	}
	return strings.ToValidUTF8(fault[:maxFault], "") + "…"
}

// cleaned is a span without what may be personal: attributes that [harmless] doesn't name, and the
// texts of errors, in which Postgres may quote values.
type cleaned struct{ sdktrace.ReadOnlySpan }

// Attributes implements [sdktrace.ReadOnlySpan].
func (c cleaned) Attributes() []attribute.KeyValue {
	var kept []attribute.KeyValue
	for _, a := range c.ReadOnlySpan.Attributes() {
		if harmless(a.Key) {
			kept = append(kept, a)
		}
	}
	return kept
}

// Status implements [sdktrace.ReadOnlySpan].
func (c cleaned) Status() sdktrace.Status { return sdktrace.Status{Code: c.ReadOnlySpan.Status().Code} }

// Events implements [sdktrace.ReadOnlySpan]. Our libraries only make events of errors.
func (c cleaned) Events() []sdktrace.Event { return nil }

// harmless reports whether a span may have an attribute: ids, names of ours, and numbers. Paths,
// queries, addresses of callers, user agents and SQL are none of these.
func harmless(key attribute.Key) bool {
	switch key {
	case "http.request.method", "http.response.status_code", "http.route", "error.type",
		"http.request.body.size", "http.response.body.size",
		"db.system.name", "db.operation.batch.size", "pgx.rows_affected", "pgx.sql_state",
		"rolecall.request_id", "rolecall.command_id", "rolecall.svix_id", "rolecall.event_type", "rolecall.organization_id",
		"rolecall.deliveries", "rolecall.queue", "rolecall.attempt":
		return true
	default:
		return false
	}
}
