package clerkapi

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traced returns the transport of a client, with a span of each attempt if that is asked for. Only
// attempts within a traced request have one: a sweep makes thousands of calls. A span's name is the
// route's pattern. No header goes to Clerk.
func traced(cfg Config) http.RoundTripper {
	if cfg.Tracers == nil {
		return cfg.Transport
	}
	return otelhttp.NewTransport(cfg.Transport,
		otelhttp.WithTracerProvider(cfg.Tracers), otelhttp.WithMeterProvider(metricnoop.NewMeterProvider()),
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()),
		otelhttp.WithFilter(func(r *http.Request) bool { return trace.SpanFromContext(r.Context()).IsRecording() }),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return "Clerk " + tripOf(r.Context()).route }),
	)
}
