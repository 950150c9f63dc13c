package api

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// heapWriter is an answer that isn't kept. It measures the heap whenever a part is sent.
type heapWriter struct {
	header           http.Header
	written, batches int
	last             []byte
	peak             uint64
}

func (w *heapWriter) Header() http.Header              { return w.header }
func (w *heapWriter) WriteHeader(int)                  {}
func (w *heapWriter) SetWriteDeadline(time.Time) error { return nil }

func (w *heapWriter) Write(p []byte) (int, error) {
	w.written += len(p)
	w.last = append(w.last[:0], p[max(0, len(p)-40):]...)
	return len(p), nil
}

func (w *heapWriter) Flush() {
	w.batches++
	w.peak = max(w.peak, heap())
}

// heap returns how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// TestAuditExport_TakesFlatMemory: an export of any length needs the memory of one batch.
//
//nolint:paralleltest // the heap belongs to the process
func TestAuditExport_TakesFlatMemory(t *testing.T) {
	b := setupAudit(t, nil)
	fill(b, 2500)
	for _, format := range []string{"jsonl", "csv"} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, auditOfOne+"/export?format="+format, nil)
		request.Header.Set("Authorization", "Bearer user_admin")
		w := &heapWriter{header: http.Header{}}
		before := heap()
		b.handler.ServeHTTP(w, request)
		require.Contains(t, strings.ReplaceAll(string(w.last), `"`, ""), "complete", format)
		require.Equal(t, 13, w.batches, format)
		require.Greater(t, w.written, 38<<20, format)
		require.Less(t, w.peak, before+(16<<20), "%s: a batch of these entries is 3.2 MB, the whole log 40 MB", format)
	}
}
