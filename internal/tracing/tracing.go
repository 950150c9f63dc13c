// Package tracing makes OpenTelemetry spans of Rolecall's work and sends them to a collector.
//
// It guarantees that no span says anything of a person: attributes, errors and states of traces
// leave the process only if a list in this package names them. It also guarantees that a slow or
// dead collector holds up neither a request nor a stop for long: spans that don't fit into a queue
// are dropped.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// stopTimeout bounds how long a stop waits until the last spans are sent. It is what
// docs/operate.md leaves of the time that a stop may take.
const stopTimeout = 2 * time.Second

// Config configures [Start].
type Config struct {
	Settings Settings
	// Version is the program's version.
	Version string
	// Logger gets a line a minute at most if spans can't be sent.
	Logger *slog.Logger
}

// Tracing makes spans and sends them. A nil Tracing makes none, and costs nothing.
type Tracing struct {
	provider *sdktrace.TracerProvider
	sender   *sender
}

// Start begins to send spans in the background. It returns nil if tracing is off. It asks no
// collector, and so doesn't fail if there is none.
func Start(ctx context.Context, c Config) (*Tracing, error) {
	if !c.Settings.On() {
		return nil, nil //nolint:nilnil // tracing is off, and that is no error
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.Settings.Endpoint))
	if err != nil {
		return nil, fmt.Errorf("open exporter of traces: %w", err)
	}
	from, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(
		attribute.String("service.name", "rolecall"), attribute.String("service.version", c.Version),
	), resource.WithFromEnv()) // which may name others
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	sender := newSender(exporter, c.Logger)
	return &Tracing{
		sender:   sender,
		provider: sdktrace.NewTracerProvider(sdktrace.WithBatcher(sender), sdktrace.WithResource(from)),
	}, nil
}

// Stop sends the spans that wait, for [stopTimeout] at most. The rest is dropped.
func (t *Tracing) Stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the sender has logged what it couldn't send
	t.sender.giveUp()
}

// Provider returns what makes tracers; nil if tracing is off.
func (t *Tracing) Provider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// Queries returns what makes a span of each query of a traced request; nil if tracing is off. A
// span's name is the name of the query in store/queries, or else the statement's first word. No
// span has the statement or its parameters.
func (t *Tracing) Queries() pgx.QueryTracer {
	if t == nil {
		return nil
	}
	tracer := otelpgx.NewTracer(
		otelpgx.WithTracerProvider(t.provider), otelpgx.WithMeterProvider(metricnoop.NewMeterProvider()),
		otelpgx.WithDisableSQLStatementInAttributes(), otelpgx.WithDisableConnectionDetailsInAttributes(),
		otelpgx.WithSpanNameCtxFunc(queryName),
	)
	return queries{tracer, tracer, tracer, tracer}
}

// queries is what is traced of Postgres. To prepare a statement is a part of its first query.
type queries struct {
	pgx.QueryTracer
	pgx.BatchTracer
	pgx.ConnectTracer
	pgxpool.AcquireTracer
}
