package request

import (
	"context"
	"net/http"
	"time"
)

// Ended says how a request ended.
type Ended struct {
	// Status is that of the answer, as its sender saw it. It is 0 if there was no answer: the
	// sender had gone before the answer began, or the handler gave up.
	Status int
	Bytes  int64 // of the answer's body
	Took   time.Duration
	Waited time.Duration // the part of it in which the request waited for something to happen
	// Streamed says that the answer went in parts, as fast as its reader took them.
	Streamed bool
}

// Handler gives each request its [Record], and the record's id to the answer. When a request has
// ended, it calls ended, which must not keep the record.
func Handler(next http.Handler, ended func(context.Context, *Record, Ended)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{record: Record{Began: time.Now(), request: r}}
		x.record.ID = idOf(r.Header[Header])
		x.ids[0] = x.record.ID
		w.Header()[Header] = x.ids[:]
		x.context = recordContext{Context: r.Context(), record: &x.record}
		x.writer = writer{ResponseWriter: w, sender: r.Context()}
		defer func() { // also after a panic, which goes on
			ended(&x.context, &x.record, x.ended(r.Method))
		}()
		next.ServeHTTP(&x.writer, r.WithContext(&x.context))
		x.answered = true
	})
}

// exchange is all that a request needs here. It is one allocation.
type exchange struct {
	record   Record
	context  recordContext
	writer   writer
	ids      [1]string // the values of the header
	answered bool      // the handler returned
}

// ended tells how the request ended.
func (x *exchange) ended(method string) Ended {
	e := Ended{Status: x.writer.status, Bytes: x.writer.bytes, Streamed: x.writer.streamed, Took: time.Since(x.record.Began)}
	if x.answered {
		x.writer.begin(http.StatusOK) // net/http answers so if the handler wrote nothing
		e.Status = x.writer.status
	}
	if x.writer.gone {
		e.Status = 0
	}
	if method == http.MethodHead {
		e.Bytes = 0
	}
	x.record.mu.Lock()
	defer x.record.mu.Unlock()
	e.Waited = x.record.waited
	return e
}

// recordContext is the context of a request with a record.
type recordContext struct {
	context.Context //nolint:containedctx // it is a context

	record *Record
}

// Value implements [context.Context].
func (c *recordContext) Value(key any) any {
	if key == (recordKey{}) {
		return c.record
	}
	return c.Context.Value(key)
}

// writer notes what is answered.
type writer struct {
	http.ResponseWriter

	sender   context.Context //nolint:containedctx // of the request: it ends when the sender goes
	status   int             // 0 until the answer begins
	gone     bool            // the sender had gone before the answer began
	bytes    int64
	streamed bool
}

// begin notes the beginning of the answer.
func (w *writer) begin(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
		w.gone = w.sender.Err() != nil
	}
}

// WriteHeader implements [http.ResponseWriter].
func (w *writer) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *writer) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// FlushError implements what [http.ResponseController] looks for.
func (w *writer) FlushError() error {
	w.begin(http.StatusOK)
	w.streamed = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets [http.ResponseController] find the server's own writer.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
