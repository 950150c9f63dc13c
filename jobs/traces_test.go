package jobs

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// traced is a bundle whose spans a test reads.
type traced struct {
	*bundle

	spans    *tracetest.SpanRecorder
	provider *sdktrace.TracerProvider
}

func setupTraced(t *testing.T) traced {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	t.Cleanup(func() { require.NoError(t, provider.Shutdown(context.WithoutCancel(t.Context()))) })
	return traced{setup(t), spans, provider}
}

// waiting returns entries as those of traced callers that wait for one commit, and the ids of their
// traces.
func (b traced) waiting(t *testing.T, deliveries ...clerksync.Delivery) (batch []*entry, traces []trace.TraceID) {
	t.Helper()
	for _, d := range deliveries {
		ctx, span := b.provider.Tracer("test").Start(t.Context(), "request")
		t.Cleanup(func() { span.End() })
		batch = append(batch, &entry{caller: ctx, delivery: d, done: make(chan struct{})})
		traces = append(traces, span.SpanContext().TraceID())
	}
	return batch, traces
}

// named returns the ended spans with a name.
func (b traced) named(name string) (found []sdktrace.ReadOnlySpan) {
	for _, span := range b.spans.Ended() {
		if span.Name() == name {
			found = append(found, span)
		}
	}
	return found
}

// onlyJob reads the only job of a queue.
func (b traced) onlyJob(t *testing.T, queue string) *river.Job[ApplyArgs] {
	t.Helper()
	job := &river.Job[ApplyArgs]{JobRow: &rivertype.JobRow{Queue: queue, Priority: 1, Attempt: 1}}
	require.NoError(t, b.Pool.QueryRow(t.Context(),
		"SELECT id, args, metadata, args FROM rolecall.river_job WHERE queue = $1", queue).Scan(&job.ID, &job.EncodedArgs, &job.Metadata, &job.Args))
	return job
}

// worker returns a worker that makes spans.
func (b traced) worker() *applyWorker {
	cfg := b.workersConfig()
	cfg.Tracers = b.provider
	return newApplyWorker(cfg)
}

// linked returns the traces to which a span links.
func linked(span sdktrace.ReadOnlySpan) (ids []trace.TraceID) {
	for _, link := range span.Links() {
		ids = append(ids, link.SpanContext.TraceID())
	}
	return ids
}

// TestTraces_SharedCommitAndJob has three deliveries in one commit, and so in one job.
func TestTraces_SharedCommitAndJob(t *testing.T) {
	t.Parallel()
	b := setupTraced(t)
	batch, ids := b.waiting(t, mirrortest.UserNamed(t, "msg_3", "user_1", "Kim", 1), mirrortest.UserNamed(t, "msg_1", "user_2", "Kim", 1),
		mirrortest.UserNamed(t, "msg_2", "user_3", "Kim", 1))
	b.inbox(t).commit(batch)
	for _, e := range batch {
		require.NoError(t, e.err)
	}
	commits := b.named("commit deliveries")
	require.Len(t, commits, 1)
	require.Equal(t, ids[0], commits[0].SpanContext().TraceID())
	for _, e := range batch[1:] {
		span, ok := trace.SpanFromContext(e.caller).(sdktrace.ReadOnlySpan)
		require.True(t, ok)
		require.Len(t, span.Links(), 1)
		require.Equal(t, commits[0].SpanContext(), span.Links()[0].SpanContext, "a caller that shares the commit finds it")
	}

	job := b.onlyJob(t, QueueApply)
	require.NoError(t, b.worker().Work(t.Context(), job))
	jobs := b.named("apply deliveries")
	require.Len(t, jobs, 1)
	require.Equal(t, ids[0], jobs[0].SpanContext().TraceID())
	require.Equal(t, trace.SpanContextFromContext(batch[0].caller).SpanID(), jobs[0].Parent().SpanID())
	require.ElementsMatch(t, ids[1:], linked(jobs[0]))
	rounds := b.named("merge deliveries")
	require.Len(t, rounds, 1)
	require.Equal(t, jobs[0].SpanContext().SpanID(), rounds[0].Parent().SpanID())
}

// TestTraces_HeldUpDeliveriesKeepTheirs when a batch is divided into jobs of its parts.
func TestTraces_HeldUpDeliveriesKeepTheirs(t *testing.T) {
	t.Parallel()
	b := setupTraced(t)
	batch, _ := b.waiting(t, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1), mirrortest.UserNamed(t, "msg_2", "user_2", "Kim", 1))
	from := traceparentsOf(batch)
	require.Len(t, from, 2)
	ctx := context.WithValue(t.Context(), traceparentsKey{}, from)
	require.NoError(t, pgx.BeginFunc(ctx, b.Pool, func(tx pgx.Tx) error {
		return insertJobs(ctx, b.idle(t).client, tx, jobsOf(traceparentsIn(ctx), heldUpOpts(QueueApply), []part{{ids: []string{"msg_2"}}}))
	}))
	job := b.onlyJob(t, QueueHeldUp)
	_, span := b.worker().startJob(t.Context(), job)
	require.Equal(t, trace.SpanContextFromContext(batch[1].caller).TraceID(), span.SpanContext().TraceID())
	span.End()
	require.Empty(t, b.named("apply deliveries")[0].Links())
}

// TestTraces_UntracedJobsHaveNone: neither a job without traced deliveries nor a process that
// doesn't trace makes spans, and the job of another process is still applied.
func TestTraces_UntracedJobsHaveNone(t *testing.T) {
	t.Parallel()
	b := setupTraced(t)
	in := b.inbox(t)
	accept(t, in, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	job := b.onlyJob(t, QueueApply)
	require.JSONEq(t, "{}", string(job.Metadata))
	require.NoError(t, b.worker().Work(t.Context(), job))
	require.Empty(t, b.spans.Ended())

	b.Exec(t, "DELETE FROM rolecall.river_job")
	batch, _ := b.waiting(t, mirrortest.UserNamed(t, "msg_2", "user_2", "Kim", 1))
	in.commit(batch)
	before := len(b.spans.Ended())
	require.NoError(t, newApplyWorker(b.workersConfig()).Work(t.Context(), b.onlyJob(t, QueueApply)))
	require.Len(t, b.spans.Ended(), before)
	require.Equal(t, 2, b.Count(t, "SELECT count(*) FROM rolecall.users"))
}

// TestTraces_ForgedMetadataDoNoHarm: whatever a job's metadata say, its deliveries are applied.
func TestTraces_ForgedMetadataDoNoHarm(t *testing.T) {
	t.Parallel()
	b := setupTraced(t)
	w := b.worker()
	for _, written := range []string{"", "null", "[]", `{"traceparents":7}`, `{"traceparents":{"msg_1":"00-0-0-01"}}`, `{"traceparents":{"msg_1":"x"}}`} {
		_, span := w.startJob(t.Context(), &river.Job[ApplyArgs]{JobRow: &rivertype.JobRow{Metadata: []byte(written)}, Args: ApplyArgs{SvixIDs: []string{"msg_1"}}})
		require.False(t, span.IsRecording(), written)
	}
}

// TestTraces_CostNothingWhenOff counts what tracing allocates for a delivery without a trace.
func TestTraces_CostNothingWhenOff(t *testing.T) { //nolint:paralleltest // it counts the allocations of the process
	ctx, d := t.Context(), clerksync.Delivery{ID: "msg_1"}
	batch := []*entry{{caller: ctx, delivery: d}}
	w := &applyWorker{}
	job := &river.Job[ApplyArgs]{JobRow: &rivertype.JobRow{Metadata: []byte("{}")}, Args: ApplyArgs{SvixIDs: []string{"msg_1"}}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, end := startAccept(ctx, d)
		end(nil)
		_, commit := startCommit(ctx, batch)
		endSpan(commit, nil)
		from := traceparentsOf(batch)
		if from.metadata() != nil {
			panic("metadata without a trace")
		}
		inJob, span := w.startJob(ctx, job)
		_, round := startRound(inJob, 1)
		if spanContext(round) != nil {
			panic("a span without a trace")
		}
		endSpan(span, nil)
	}))
}
