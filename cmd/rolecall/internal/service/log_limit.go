package service

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// logAgainAfter is how soon a warning or an error of one kind is written again. While it comes
	// on and on, that doubles up to logLongestAfter.
	logAgainAfter   = 10 * time.Second
	logLongestAfter = time.Minute
	// maxLogKinds bounds how many kinds are told apart; beyond, the rest is one kind. Our messages
	// and reasons are constant, but messages of libraries may name an address.
	maxLogKinds = 500
)

// limitLog limits how often each kind of warning or error is written: an outage, or callers that
// are refused, would else write as many lines as there are attempts. What is left out is counted in
// the next line of its kind, or in the last one of its time. It is the only limiter: a second one
// in series would drop what the first one lets through.
func limitLog(next slog.Handler) slog.Handler {
	return logLimiter{Handler: next, kinds: &logKinds{all: map[logKind]*logCount{}}}
}

// logLimiter is a handler that leaves out repeated warnings and errors. Metrics count them all.
type logLimiter struct {
	slog.Handler

	kinds *logKinds
	about logKind // what the attributes say that the logger was given
}

// logKinds is what a handler and all that are derived from it have in common.
type logKinds struct {
	mu  sync.Mutex
	all map[logKind]*logCount
}

// logKind is what lines have in common that say the same.
type logKind struct {
	level   slog.Level
	message string
	why     string // the values of the attributes that tell kinds apart
	named   bool   // it names something of its own, and is always written
}

// note reads an attribute. What a delivery, a sweep or a command is named by comes from signed or
// own work: no caller can make many such lines, and each is of another thing.
func (k *logKind) note(a slog.Attr) {
	switch a.Key {
	case "reason", "outcome", "cause", "listener":
		k.why += a.Key + "=" + a.Value.Resolve().String() + " "
	case "svix_id", "sweep_id", "command_id":
		k.named = true
	}
}

// logCount is what of a kind was left out since its last line.
type logCount struct {
	left  int
	last  func(left int) // writes the newest of them
	after time.Duration  // the next line
}

// Handle implements [slog.Handler].
func (h logLimiter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.Handler.Handle(ctx, r)
	}
	kind := h.about
	kind.level, kind.message = r.Level, r.Message
	r.Attrs(func(a slog.Attr) bool { kind.note(a); return true })
	if kind.named || !h.leavesOut(ctx, r, kind) {
		return h.Handler.Handle(ctx, r)
	}
	return nil
}

// leavesOut reports whether a line of the same kind was written a moment ago, and counts this one
// if so.
func (h logLimiter) leavesOut(ctx context.Context, r slog.Record, kind logKind) bool {
	h.kinds.mu.Lock()
	defer h.kinds.mu.Unlock()
	if _, known := h.kinds.all[kind]; !known && len(h.kinds.all) >= maxLogKinds {
		kind.message, kind.why = "", ""
	}
	count, known := h.kinds.all[kind]
	if !known {
		h.kinds.all[kind] = &logCount{after: logAgainAfter}
		time.AfterFunc(logAgainAfter, func() { h.kinds.next(kind) })
		return false
	}
	count.left++
	ctx, r = context.WithoutCancel(ctx), r.Clone()
	count.last = func(left int) {
		r.AddAttrs(slog.Int("left_out", left))
		_ = h.Handler.Handle(ctx, r) // nobody could be told
	}
	return true
}

// next begins a kind's next stretch of time: with a line, if any was left out; else the kind is
// forgotten.
func (k *logKinds) next(kind logKind) {
	k.mu.Lock()
	defer k.mu.Unlock()
	count := k.all[kind]
	if count.left == 0 {
		delete(k.all, kind)
		return
	}
	count.last(count.left - 1) // this line isn't left out
	*count = logCount{after: min(2*count.after, logLongestAfter)}
	time.AfterFunc(count.after, func() { k.next(kind) })
}

// WithAttrs implements [slog.Handler].
func (h logLimiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.about.note(a)
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements [slog.Handler].
func (h logLimiter) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}
