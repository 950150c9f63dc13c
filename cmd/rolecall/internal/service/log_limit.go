package service

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/jobs"
)

const (
	// logAgainAfter is how soon a warning or an error of one kind is written again. While more
	// come, that doubles up to logLongestAfter.
	logAgainAfter   = 10 * time.Second
	logLongestAfter = time.Minute
	// maxLogKinds bounds how many kinds are told apart. All further ones are one kind. Our messages
	// and reasons are constant, but messages of libraries may name an address.
	maxLogKinds = 500
)

// limitLog limits how often each kind of warning or error is written. Otherwise an outage, or
// refused callers, would write a line for each attempt. At the end of a period, the newest line
// that was left out is written with the number of the others. There must be only one limiter: a
// second one would drop lines that the first one lets through.
func limitLog(next slog.Handler) (slog.Handler, *logKinds) {
	kinds := &logKinds{next: next, all: map[logKind]*logCount{}}
	return logLimiter{Handler: next, kinds: kinds}, kinds
}

// logLimiter is a handler that leaves out repeated warnings and errors. Metrics count them all.
type logLimiter struct {
	slog.Handler

	kinds *logKinds
	about logKind // what the logger's own attributes say
}

// logKinds is shared by a handler and all handlers derived from it.
type logKinds struct {
	mu  sync.Mutex
	all map[logKind]*logCount

	next    slog.Handler // of what belongs to no logger
	away    bool         // the database is known to be away
	trouble *trouble
}

// logKind is the same for lines that say the same.
type logKind struct {
	level   slog.Level
	message string
	why     string // the values of the attributes that tell kinds apart
	named   bool   // it names its object, and is always written
	byRiver bool

	ofDB     bool          // it says that the database doesn't answer
	refused  pgpool.Reason // why a session with it can't be used; "" for another fault
	ofSender bool          // it says that a sender broke off or is refused
}

// note reads an attribute. The ids of deliveries and commands come from signed or internal work: no
// caller can make many such lines, and each is about another object.
func (k *logKind) note(a slog.Attr) {
	switch a.Key {
	case "reason", "outcome", "cause", "listener", "sweep_id": // one sweep fails again and again
		k.why += a.Key + "=" + a.Value.Resolve().String() + " "
	case "svix_id", "command_id", "outage":
		k.named = true
	}
	k.ofDB = k.ofDB || aboutDatabase(a)
	if err, ok := a.Value.Any().(error); ok {
		if refused, ok := errors.AsType[*pgpool.RefusedError](err); ok {
			k.refused = refused.Reason
		}
	}
	k.ofSender = k.ofSender || aboutSender(a)
	k.byRiver = k.byRiver || a.Key == jobs.LoggedBy
}

// logCount counts the lines of a kind that were left out since the last written one.
type logCount struct {
	left  int
	last  func(left int) // writes the newest of these, with the number of the others
	after time.Duration  // until the next line
}

// Handle implements [slog.Handler].
func (h logLimiter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.Handler.Handle(ctx, r)
	}
	kind := h.about
	kind.level, kind.message = r.Level, r.Message
	r.Attrs(func(a slog.Attr) bool { kind.note(a); return true })
	switch {
	case kind.named:
	case kind.ofDB && !kind.ofSender, (kind.byRiver || kind.message == slowRequest) && h.kinds.inTrouble():
		if h.kinds.troubled(kind) {
			return nil
		}
	case h.leavesOut(ctx, r, kind):
		return nil
	}
	return h.Handler.Handle(ctx, r)
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
		time.AfterFunc(logAgainAfter, func() { h.kinds.again(kind) })
		return false
	}
	count.left++
	ctx, r = context.WithoutCancel(ctx), r.Clone()
	count.last = func(left int) {
		r.AddAttrs(slog.Int("left_out", left))
		_ = h.Handler.Handle(ctx, r) // there is no place to report it
	}
	return true
}

// again begins a kind's next period. It writes a line if any was left out, and forgets the kind
// otherwise.
func (k *logKinds) again(kind logKind) {
	k.mu.Lock()
	defer k.mu.Unlock()
	count := k.all[kind]
	if count.left == 0 {
		delete(k.all, kind)
		return
	}
	count.last(count.left - 1) // this line isn't left out
	*count = logCount{after: min(2*count.after, logLongestAfter)}
	time.AfterFunc(count.after, func() { k.again(kind) })
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
