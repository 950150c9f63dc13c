package console

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/callmine/rolecall/store"
)

const (
	// maxStreams bounds the open streams of a process: a few tabs of each operator.
	maxStreams = 32
	// maxOwnStreams bounds those of one session, so that others have some, too.
	maxOwnStreams = 8
	// lookEvery is how often the database is asked whether anything changed, while a stream is open.
	lookEvery = 2 * time.Second
	// tellLeast is the least time from one event of a busy service to the next. Each one has every
	// open page read again.
	tellLeast = 5 * time.Second
	// tellEvery is how often a page is read again even so: it says how long ago things were.
	tellEvery = 15 * time.Second
	// streamTime is how long a stream lasts. The browser opens the next one.
	streamTime = 10 * time.Minute
	// streamWrite bounds the writing of an event.
	streamWrite = 5 * time.Second
)

// streams are the open pages that wait for changes. They share one reader of the database.
type streams struct {
	mu      sync.Mutex
	open    map[chan string]owner
	ended   chan struct{}
	closed  bool
	looking bool
	wg      sync.WaitGroup
}

// owner is the session of an open page; all zero if operators don't sign in.
type owner [sha256.Size]byte

func newStreams() *streams {
	return &streams{open: map[chan string]owner{}, ended: make(chan struct{})}
}

func (s *streams) close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.ended)
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// join adds a stream of a session. It starts the reader if there is none.
func (s *streams) join(of owner, look func()) (chan string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := 0
	for _, other := range s.open {
		if other == of {
			own++
		}
	}
	if s.closed || len(s.open) >= maxStreams || own >= maxOwnStreams {
		return nil, false
	}
	stream := make(chan string, 1)
	s.open[stream] = of
	if !s.looking {
		s.looking = true
		s.wg.Go(look)
	}
	return stream, true
}

func (s *streams) leave(stream chan string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, stream)
}

// end ends the streams of a session.
func (s *streams) end(of owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for stream, other := range s.open {
		if other == of {
			delete(s.open, stream)
			close(stream)
		}
	}
}

// idle reports whether no stream is open, and so that the reader ends.
func (s *streams) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looking = len(s.open) > 0
	return !s.looking
}

// tell sends an event to all streams. A stream that has one waiting needs no second.
func (s *streams) tell(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for stream := range s.open {
		select {
		case stream <- event:
		default:
		}
	}
}

// events is the stream that says when a page should be read again: "changed" after a change of the
// mirror, "away" while the database doesn't answer.
func (c *Console) events(w http.ResponseWriter, v *visit) error {
	stream, ok := c.streams.join(v.session, c.look)
	if !ok {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	}
	defer c.streams.leave(stream)
	w.Header().Set("Content-Type", "text/event-stream")
	end := time.NewTimer(streamTime)
	defer end.Stop()
	control := http.NewResponseController(w)
	event := "open"
	if control.SetReadDeadline(time.Time{}) != nil { // the server's own limits are for pages
		return nil
	}
	for {
		if control.SetWriteDeadline(time.Now().Add(streamWrite)) != nil {
			return nil
		}
		if _, err := w.Write([]byte("event: " + event + "\ndata:\n\n")); err != nil || control.Flush() != nil {
			return nil // the page was closed
		}
		select {
		case next, open := <-stream:
			if !open {
				return nil // the session has ended
			}
			event = next
		case <-v.Context().Done():
			return nil
		case <-end.C:
			return nil
		case <-c.streams.ended:
			return nil
		}
	}
}

// look asks the database again and again whether anything changed, as long as a stream is open.
func (c *Console) look() {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var h heard
	for {
		now, err := c.pulse()
		if event := h.event(now, err, time.Now()); event != "" {
			c.streams.tell(event)
		}
		select {
		case <-ticker.C:
		case <-c.streams.ended:
			return
		}
		if c.streams.idle() {
			return
		}
	}
}

// heard is what open pages were told last.
type heard struct {
	pulse string // "" after the database was away
	at    time.Time
}

// event returns what to tell open pages after a look at the database; "" for nothing.
func (h *heard) event(pulse string, err error, now time.Time) string {
	quiet := now.Sub(h.at)
	switch {
	case errors.Is(err, errBusy):
		return ""
	case err != nil:
		h.pulse = ""
		return "away"
	case h.pulse == "", pulse != h.pulse && quiet >= tellLeast, quiet >= tellEvery:
		*h = heard{pulse, now}
		return "changed"
	default:
		return ""
	}
}

// pulse returns a text that differs after each change that pages show.
func (c *Console) pulse() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), statementTime)
	defer cancel()
	done, err := c.turns.take(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return store.Pulse(ctx, c.cfg.Pool)
}
