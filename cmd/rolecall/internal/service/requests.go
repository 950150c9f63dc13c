package service

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/internal/tracing"
)

// watched gives each request of the public side its id, counts it, and traces it. It is around
// everything else, so that it sees what the sender sees. A webhook begins a trace of its own: any
// sender may name one before its signature is verified, and Clerk names none.
func (s *Service) watched(handler http.Handler) http.Handler {
	counted := request.Handler(handler, func(ctx context.Context, r *request.Record, e request.Ended) {
		tracing.NameRequest(ctx, r.Method(), r.Route(), r.ID)
		s.metrics.requests.of(r.Route(), r.Method(), e.Status).Observe((e.Took - e.Waited).Seconds())
		if s.cfg.AccessLog {
			s.logAccess(ctx, r, e)
		}
		logSlow(ctx, s.logger, r, e)
	})
	return s.tracing.Handler(counted, func(r *http.Request) bool { return r.URL.EscapedPath() == webhookPath })
}

const (
	// slowAfter is how long a request may work before a line says so. It is a hundred times what
	// decisions take, and less than callers wait.
	slowAfter   = time.Second
	slowRequest = "slow request"
)

// logSlow warns of a slow request, so that it is found by its id. A failed one has a line of its
// own; a stream takes as long as its reader.
func logSlow(ctx context.Context, logger *slog.Logger, r *request.Record, e request.Ended) {
	took := e.Took - e.Waited
	if took < slowAfter || e.Streamed || e.Status >= http.StatusInternalServerError {
		return
	}
	logger.LogAttrs(ctx, slog.LevelWarn, slowRequest, slog.Int("status", e.Status), slog.Float64("seconds", took.Seconds()), slog.String("caller", r.Caller()))
}

// logAccess writes the access log's line of a request.
func (s *Service) logAccess(ctx context.Context, r *request.Record, e request.Ended) {
	line := []slog.Attr{
		slog.String("method", r.Method()), slog.String("path", r.Path()), slog.String("route", r.Route()), slog.Int("status", e.Status),
		slog.Int64("bytes", e.Bytes), slog.Float64("seconds", e.Took.Seconds()), slog.String("caller", r.Caller()),
	}
	s.logger.LogAttrs(ctx, slog.LevelInfo, "request", append(line, r.Notes()...)...)
}

// requestTimes is rolecall_http_request_seconds. It keeps the series that it has found: the library
// would look at all three labels of each request.
type requestTimes struct {
	*prometheus.HistogramVec

	mu    sync.RWMutex
	known map[requestSeries]prometheus.Observer
}

type requestSeries struct {
	route, method string
	status        int
}

func newRequestTimes() *requestTimes {
	return &requestTimes{known: map[requestSeries]prometheus.Observer{}, HistogramVec: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "rolecall_http_request_seconds",
		Help: "Requests to the public side by route, method and status (0: no answer, because the sender had gone), from the read head to the end of the answer, less the time in which a request waited for changes.",
		// From a decision that shares a query, to more than any handler may take.
		Buckets: []float64{0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
	}, []string{"route", "method", "status"})}
}

// of returns the series of a request.
func (t *requestTimes) of(route, method string, status int) prometheus.Observer {
	series := requestSeries{route, method, status}
	t.mu.RLock()
	times, found := t.known[series]
	t.mu.RUnlock()
	if !found {
		times = t.WithLabelValues(route, method, strconv.Itoa(status))
		t.mu.Lock()
		t.known[series] = times
		t.mu.Unlock()
	}
	return times
}
