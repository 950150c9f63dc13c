package api

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/store"
)

// eventStream is the media type of server-sent events (the HTML standard, section 9.2).
const eventStream = "text/event-stream"

const (
	// heartbeatEvery is below the 15 s that are promised, and below the time-outs of proxies.
	heartbeatEvery = 10 * time.Second
	// streamLife is how long a stream lasts, give or take a tenth, before it ends between two events.
	// Its consumer connects again, perhaps to a process that has fewer of them.
	streamLife = 15 * time.Minute
	// streamRetry is after how many milliseconds a browser's EventSource connects again.
	streamRetry = "1000"
)

// The types of events.
const (
	eventChange    = "change"
	eventHeartbeat = "heartbeat" // says how far the feed is complete
	eventProblem   = "problem"   // why the stream ends, unless it just ends
)

type heartbeatBody struct {
	NextCursor    string    `json:"next_cursor"`
	CompleteUntil time.Time `json:"complete_until"`
}

// streamChanges answers with events, for as long as the consumer reads them, may read them, and a
// stream lasts. It holds no connection to the database while it waits.
func (s *server) streamChanges(w http.ResponseWriter, r *http.Request, asked feedRequest) error {
	page, err := s.feedPage(r.Context(), asked)
	if err != nil {
		return err
	}
	vary(w, "Accept")
	w.Header().Set("Content-Type", eventStream)
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	stream := eventWriter{w: w, r: r, stall: s.cfg.ExportStall}
	stream.out.WriteString("retry: " + streamRetry + "\n\n")
	until := time.Now().Add(streamLife - time.Duration(rand.Int64N(int64(streamLife/10)))) //nolint:gosec // not secret
	for parting := false; ; {
		stream.page(page)
		if !stream.flush() || parting || time.Now().After(until) {
			return nil
		}
		if !page.More {
			s.awaitChange(r, asked.query, page.Last, time.Until(stream.due))
			parting = s.feedParts()
		}
		if _, err = s.identify(r); err == nil { // a token may be taken back
			asked.query = asked.query.Following(page)
			page, err = s.feedPage(r.Context(), asked)
		}
		if err != nil {
			s.endStream(&stream, err)
			return nil
		}
	}
}

// endStream tells a consumer why its stream ends.
func (s *server) endStream(stream *eventWriter, err error) {
	p, ours := problemFor(err)
	if ours {
		s.report(stream.r, p, err)
	}
	named := *p
	named.RequestID = request.ID(stream.r.Context())
	stream.event(eventProblem, "", named)
	stream.flush()
}

// eventWriter gathers events, and sends them.
type eventWriter struct {
	w     http.ResponseWriter
	r     *http.Request
	stall time.Duration
	out   bytes.Buffer
	due   time.Time // when the next heartbeat must be sent
}

// page adds the changes of a page, and says how far the feed is complete, unless nothing else is
// new.
func (e *eventWriter) page(page store.FeedPage) {
	for _, entry := range page.Entries {
		body := feedEntryBodyOf(entry)
		e.event(eventChange, body.Cursor, body)
	}
	if len(page.Entries) == 0 && time.Now().Before(e.due) {
		return // others' changes woke this one
	}
	e.due = time.Now().Add(heartbeatEvery)
	body := heartbeatBody{NextCursor: page.Next.String(), CompleteUntil: page.CompleteUntil}
	e.event(eventHeartbeat, body.NextCursor, body)
}

// event adds an event. JSON has no line breaks here.
func (e *eventWriter) event(kind, id string, body any) {
	e.out.WriteString("event: " + kind + "\n")
	if id != "" {
		e.out.WriteString("id: " + id + "\n")
	}
	e.out.WriteString("data: ")
	_ = json.NewEncoder(&e.out).Encode(body) //nolint:errchkjson // a buffer takes all; it ends the line
	e.out.WriteString("\n")
}

// flush sends what was added, and reports whether the consumer took it in time.
func (e *eventWriter) flush() bool {
	if e.out.Len() == 0 {
		return true
	}
	began := time.Now()
	defer func() { request.Of(e.r.Context()).Waited(time.Since(began)) }()
	lastLonger(e.w, heartbeatEvery+e.stall)
	if _, err := e.out.WriteTo(e.w); err != nil {
		return false
	}
	return http.NewResponseController(e.w).Flush() == nil
}
