package tracing_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.uber.org/goleak"

	"github.com/callmine/rolecall/internal/testlog"
	"github.com/callmine/rolecall/internal/tracing"
)

// environ returns a getenv for some variables.
func environ(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func TestRead(t *testing.T) {
	t.Parallel()
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, tc := range map[string]struct {
		variables map[string]string
		want      string // the endpoint; "" if tracing is off
		sampler   string
		warning   string // a part of the only warning; "" for none
	}{
		"nothing is set":       {},
		"an address":           {variables: map[string]string{endpoint: "http://collector:4318"}, want: "http://collector:4318/v1/traces"},
		"blanks":               {variables: map[string]string{endpoint: " http://collector:4318/ "}, want: "http://collector:4318/v1/traces"},
		"a path":               {variables: map[string]string{endpoint: "https://collector/otlp/"}, want: "https://collector/otlp/v1/traces"},
		"only for traces":      {variables: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector/spans", endpoint: "http://other"}, want: "http://collector/spans"},
		"disabled":             {variables: map[string]string{endpoint: "http://collector:4318", "OTEL_SDK_DISABLED": "TRUE"}},
		"no exporter":          {variables: map[string]string{endpoint: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}},
		"another exporter":     {variables: map[string]string{endpoint: "http://collector:4318", "OTEL_TRACES_EXPORTER": "zipkin"}, warning: "OTEL_TRACES_EXPORTER"},
		"gRPC":                 {variables: map[string]string{endpoint: "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, warning: "OTEL_EXPORTER_OTLP_PROTOCOL is not http/protobuf"},
		"its own protocol":     {variables: map[string]string{endpoint: "http://collector:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, want: "http://collector:4318/v1/traces"},
		"no scheme":            {variables: map[string]string{endpoint: "collector:4318"}, warning: endpoint + " is not an address"},
		"a password":           {variables: map[string]string{endpoint: "http://who:hunter2@collector:4318"}, warning: endpoint + " has a user"},
		"a query":              {variables: map[string]string{endpoint: "http://collector:4318?key=hunter2"}, warning: endpoint + " is not an address"},
		"headers without name": {variables: map[string]string{endpoint: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "hunter2"}, want: "http://c/v1/traces", warning: "OTEL_EXPORTER_OTLP_HEADERS"},
		"headers":              {variables: map[string]string{endpoint: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "a=hunter2,b=c"}, want: "http://c/v1/traces"},
		"a share":              {variables: map[string]string{endpoint: "http://c", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, want: "http://c/v1/traces", sampler: "parentbased_traceidratio 0.25"},
		"a wrong share":        {variables: map[string]string{endpoint: "http://c", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "25%"}, want: "http://c/v1/traces", sampler: "traceidratio 1", warning: "OTEL_TRACES_SAMPLER_ARG"},
		"a wrong sampler":      {variables: map[string]string{endpoint: "http://c", "OTEL_TRACES_SAMPLER": "jaeger_remote"}, want: "http://c/v1/traces", sampler: "parentbased_always_on", warning: "OTEL_TRACES_SAMPLER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, warnings := tracing.Read(environ(tc.variables))
			require.Equal(t, tc.want, s.Endpoint)
			require.Equal(t, tc.want != "", s.On())
			require.Equal(t, tc.want == "", s.Why != "")
			if tc.sampler != "" {
				require.Equal(t, tc.sampler, s.Sampler)
			}
			require.NotContains(t, strings.Join(warnings, " "), "hunter2")
			if tc.warning == "" {
				require.Empty(t, warnings)
				return
			}
			require.Len(t, warnings, 1)
			require.Contains(t, warnings[0], tc.warning)
		})
	}
}

// start starts tracing to a collector, and returns its log.
func start(t *testing.T, endpoint string) (*tracing.Tracing, *testlog.Lines) {
	t.Helper()
	log := &testlog.Lines{}
	traces, err := tracing.Start(t.Context(), tracing.Config{Settings: tracing.Settings{Endpoint: endpoint}, Logger: slog.New(slog.NewJSONHandler(log, nil))})
	require.NoError(t, err)
	return traces, log
}

// makeSpans makes spans as fast as it can.
func makeSpans(t *testing.T, traces *tracing.Tracing, n int) {
	t.Helper()
	tracer := traces.Provider().Tracer("test")
	for range n {
		_, span := tracer.Start(t.Context(), "work")
		span.End()
	}
}

// TestStop_DeadCollectorHoldsNothingUp has a collector that takes spans and never answers. More
// spans come than the queue has room for.
func TestStop_DeadCollectorHoldsNothingUp(t *testing.T) { //nolint:paralleltest // it looks at all goroutines
	defer goleak.VerifyNone(t)
	asked := make(chan struct{}, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case asked <- struct{}{}:
		default:
		}
		<-r.Context().Done()
	}))
	defer collector.Close()
	traces, log := start(t, collector.URL)
	makeSpans(t, traces, 10_000)
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	traces.Stop(ctx)
	require.Error(t, ctx.Err(), "it waited as long as it might")
	require.Equal(t, 1, strings.Count(log.String(), "traces can't be sent"), log.String())
}

// TestStop_FaultsAreOneLine: a collector refuses one batch after the other, with a long answer.
func TestStop_FaultsAreOneLine(t *testing.T) {
	t.Parallel()
	refused := 0
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refused++
		http.Error(w, strings.Repeat("no", 1<<20), http.StatusForbidden)
	}))
	t.Cleanup(collector.Close)
	traces, log := start(t, collector.URL)
	makeSpans(t, traces, 1500)
	traces.Stop(t.Context())
	require.Greater(t, refused, 1)
	require.Equal(t, 1, strings.Count(log.String(), "\n"))
	require.Less(t, len(log.String()), 1000, "what a collector answers isn't logged whole")
}

// TestSpans_SayNothingOfPeople: what isn't known to be harmless stays here.
func TestSpans_SayNothingOfPeople(t *testing.T) {
	t.Parallel()
	var sent bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(&sent, r.Body)
	}))
	t.Cleanup(collector.Close)
	traces, _ := start(t, collector.URL)
	_, span := traces.Provider().Tracer("test").Start(t.Context(), "work")
	span.SetAttributes(attribute.String("url.full", "robin"), attribute.String("rolecall.svix_id", "msg_kept"))
	span.RecordError(io.EOF)
	span.AddEvent("robin")
	span.SetStatus(codes.Error, "robin")
	span.End()
	traces.Stop(t.Context())
	require.Contains(t, sent.String(), "msg_kept")
	require.NotContains(t, sent.String(), "robin")
	require.NotContains(t, sent.String(), "EOF")
}

// TestOff_IsNothing: what a service is given costs it nothing.
func TestOff_IsNothing(t *testing.T) {
	t.Parallel()
	traces, err := tracing.Start(t.Context(), tracing.Config{})
	require.NoError(t, err)
	require.Nil(t, traces)
	require.Nil(t, traces.Provider())
	require.Nil(t, traces.Queries())
	handler := http.NotFoundHandler()
	require.IsType(t, handler, traces.Handler(handler, nil))
}

// TestLogHandler_NamesTheTrace in lines of traced work, and only there.
func TestLogHandler_NamesTheTrace(t *testing.T) {
	t.Parallel()
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(collector.Close)
	traces, _ := start(t, collector.URL)
	t.Cleanup(func() { traces.Stop(context.WithoutCancel(t.Context())) })
	log := &testlog.Lines{}
	logger := slog.New(tracing.LogHandler(slog.NewJSONHandler(log, nil))).With("a", 1)
	ctx, span := traces.Provider().Tracer("test").Start(t.Context(), "work")
	defer span.End()
	logger.InfoContext(t.Context(), "without")
	require.NotContains(t, log.String(), "trace_id")
	logger.InfoContext(ctx, "within")
	require.Contains(t, log.String(), `"trace_id":"`+span.SpanContext().TraceID().String()+`"`)
}
