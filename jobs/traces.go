package jobs

import (
	"context"
	"encoding/json"

	"github.com/riverqueue/river"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	clerksync "github.com/callmine/rolecall/sync"
)

// This file continues the trace of a webhook request in the job that applies its delivery. The
// metadata of a job name the spans in which its deliveries were accepted. Processes that don't
// trace ignore them. River's own middleware for traces isn't used: it doesn't see the statement
// that accepts deliveries, and it begins another trace for each job.

// tracerName names this package in spans.
const tracerName = "github.com/callmine/rolecall/jobs"

// startSpan begins a span within that of ctx. Without a recorded one there, it costs nothing.
func startSpan(ctx context.Context, name string) (context.Context, trace.Span) {
	within := trace.SpanFromContext(ctx)
	if !within.IsRecording() {
		return ctx, within
	}
	return within.TracerProvider().Tracer(tracerName).Start(ctx, name) //nolint:spancheck // the caller ends it
}

// endSpan ends a span that startSpan began within another one.
func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// traceparents are the spans in which deliveries were accepted, as traceparent headers by svix-id.
type traceparents map[string]string

// metadata is what jobs keep beside their arguments.
type metadata struct {
	Traceparents traceparents `json:"traceparents,omitempty"`
}

// startAccept begins the span of a delivery that waits for its commit.
func startAccept(ctx context.Context, d clerksync.Delivery) (context.Context, func(error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := startSpan(ctx, "accept delivery")
	span.SetAttributes(attribute.String("rolecall.svix_id", d.ID), attribute.String("rolecall.event_type", string(d.Type)),
		attribute.String("rolecall.organization_id", d.OrganizationID))
	return ctx, func(err error) { endSpan(span, err) }
}

// startCommit begins the span of a commit, within that of the first traced delivery. The spans of
// the others link to it.
func startCommit(ctx context.Context, batch []*entry) (context.Context, trace.Span) {
	var commit trace.Span
	for _, e := range batch {
		accept := trace.SpanFromContext(e.caller)
		switch {
		case !accept.IsRecording():
		case commit == nil:
			ctx, commit = startSpan(trace.ContextWithSpan(ctx, accept), "commit deliveries") //nolint:fatcontext // once
			commit.SetAttributes(attribute.Int("rolecall.deliveries", len(batch)))
		default:
			accept.AddLink(trace.Link{SpanContext: commit.SpanContext()})
		}
	}
	if commit == nil {
		commit = trace.SpanFromContext(ctx)
	}
	return ctx, commit
}

// traceparentsOf returns the spans of those deliveries of a batch that are traced.
func traceparentsOf(batch []*entry) (from traceparents) {
	for _, e := range batch {
		if !trace.SpanContextFromContext(e.caller).IsSampled() {
			continue
		}
		if from == nil {
			from = traceparents{}
		}
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(e.caller, carrier)
		from[e.delivery.ID] = carrier["traceparent"]
	}
	return from
}

// of returns the traceparents of some of the deliveries.
func (o traceparents) of(svixIDs []string) traceparents {
	if len(o) == 0 {
		return nil
	}
	some := traceparents{}
	for _, id := range svixIDs {
		if from, ok := o[id]; ok {
			some[id] = from
		}
	}
	return some
}

// metadata returns the metadata of a job that applies these deliveries; nil if there are none.
func (o traceparents) metadata() []byte {
	if len(o) == 0 {
		return nil
	}
	written, err := json.Marshal(metadata{o})
	if err != nil { // a map of strings can be written
		return nil
	}
	return written
}

// readTraceparents reads the metadata of a job. Metadata of another shape have no traceparents.
func readTraceparents(written []byte) traceparents {
	var known metadata
	if json.Unmarshal(written, &known) != nil {
		return nil
	}
	return known.Traceparents
}

// links returns where the named deliveries were accepted, in their order.
func (o traceparents) links(svixIDs []string) (links []trace.Link) {
	for _, id := range svixIDs {
		from := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": o[id]})
		if span := trace.SpanContextFromContext(from); span.IsValid() {
			links = append(links, trace.Link{SpanContext: span})
		}
	}
	return links
}

type traceparentsKey struct{}

// traceparentsIn returns what the job of ctx knows of its deliveries' traceparents.
func traceparentsIn(ctx context.Context) traceparents {
	from, _ := ctx.Value(traceparentsKey{}).(traceparents)
	return from
}

// startJob begins the span of a job. It continues the trace of the job's first traced delivery, and
// links to the others. A job without traced deliveries has none.
func (w *applyWorker) startJob(ctx context.Context, job *river.Job[ApplyArgs]) (context.Context, trace.Span) {
	if w.tracer == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	from := readTraceparents(job.Metadata)
	links := from.links(job.Args.SvixIDs)
	if len(links) == 0 {
		return ctx, trace.SpanFromContext(ctx)
	}
	ctx = context.WithValue(ctx, traceparentsKey{}, from)
	ctx = trace.ContextWithRemoteSpanContext(ctx, links[0].SpanContext)
	return w.tracer.Start(ctx, "apply deliveries", //nolint:spancheck // the caller ends it
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(links[1:]...),
		trace.WithAttributes(attribute.Int("rolecall.deliveries", len(job.Args.SvixIDs)), attribute.String("rolecall.queue", job.Queue),
			attribute.Int("rolecall.attempt", job.Attempt)))
}

// startRound begins the span of a round, within that of the job that leads it.
func startRound(ctx context.Context, deliveries int) (context.Context, trace.Span) {
	ctx, span := startSpan(ctx, "merge deliveries")
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("rolecall.deliveries", deliveries))
	}
	return ctx, span
}

// spanContext returns what names a span elsewhere; nil if the span isn't recorded.
func spanContext(span trace.Span) *trace.SpanContext {
	if !span.IsRecording() {
		return nil
	}
	named := span.SpanContext()
	return &named
}

// linkRound links the span of a job to that of the round in which its deliveries were applied, if
// another job has led it.
func linkRound(ctx context.Context, in []*trace.SpanContext) {
	span := trace.SpanFromContext(ctx)
	if len(in) > 0 && in[0] != nil && span.IsRecording() && in[0].TraceID() != span.SpanContext().TraceID() {
		span.AddLink(trace.Link{SpanContext: *in[0]})
	}
}
