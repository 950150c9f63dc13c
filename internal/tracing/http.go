package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Handler makes a span of each request, and continues the trace of its caller. If fresh reports
// true of a request, the request begins a trace of its own: its sender must not decide what is
// traced. If tracing is off, Handler returns next.
func (t *Tracing) Handler(next http.Handler, fresh func(*http.Request) bool) http.Handler {
	if t == nil {
		return next
	}
	return otelhttp.NewHandler(next, "",
		otelhttp.WithTracerProvider(t.provider), otelhttp.WithMeterProvider(metricnoop.NewMeterProvider()),
		otelhttp.WithPropagators(traceparent{}), otelhttp.WithPublicEndpointFn(fresh),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return "HTTP request" }), // until its route is known
	)
}

// NameRequest names the span of a request by its method and route, which are known once the request
// was routed, and gives it the request's id.
func NameRequest(ctx context.Context, method, route, id string) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetName(method + " " + route)
	span.SetAttributes(attribute.String("http.route", route), attribute.String("rolecall.request_id", id))
}

// traceparent reads only the ids of a trace: what else callers hand on, such as tracestate, may be
// personal.
type traceparent struct{ propagation.TraceContext }

// Extract implements [propagation.TextMapPropagator].
func (p traceparent) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	const key = "traceparent"
	return p.TraceContext.Extract(ctx, propagation.MapCarrier{key: carrier.Get(key)})
}
