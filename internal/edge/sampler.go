package edge

import (
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// sampledEvery is how often a kind of line is written while it comes again and again.
	sampledEvery = time.Minute
	// maxKinds bounds the kinds that are told apart. Kinds are constants of ours; this is for the day on which one isn't.
	maxKinds = 100
)

// Sampler decides which log lines about callers are written: the first of each kind at once, then one a minute. It is
// safe for concurrent use.
type Sampler struct {
	now   func() time.Time
	mu    sync.Mutex
	kinds map[string]*sampled
}

type sampled struct {
	next       time.Time
	suppressed int
}

// NewSampler returns a sampler with a clock of its own, or time.Now for nil.
func NewSampler(now func() time.Time) *Sampler {
	if now == nil {
		now = time.Now
	}
	return &Sampler{now: now, kinds: map[string]*sampled{}}
}

// Take reports whether a line of this kind should be written, and how many were left out since the last one that was.
func (s *Sampler) Take(kind string) (suppressed int, write bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[kind]
	if k == nil && len(s.kinds) >= maxKinds {
		kind = "" // all others
		k = s.kinds[kind]
	}
	if k == nil {
		k = &sampled{}
		s.kinds[kind] = k
	}
	if now.Before(k.next) {
		k.suppressed++
		return 0, false
	}
	suppressed = k.suppressed
	k.next, k.suppressed = now.Add(sampledEvery), 0
	return suppressed, true
}

// ErrorLog returns a sampled log for an [http.Server]: callers can have it write, by a semicolon in a query for one.
func ErrorLog(logger *slog.Logger, sampler *Sampler) *log.Logger {
	return log.New(&errorLog{logger: logger, sampler: sampler}, "", 0)
}

type errorLog struct {
	logger  *slog.Logger
	sampler *Sampler
}

// Write implements [io.Writer]. A kind of line is told by its first words, which come before what differs.
func (l *errorLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	words := strings.Fields(text)
	if suppressed, write := l.sampler.Take("server " + strings.Join(words[:min(3, len(words))], " ")); write {
		l.logger.Warn(text, "suppressed", suppressed)
	}
	return len(line), nil
}
