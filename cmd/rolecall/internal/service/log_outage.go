package service

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/store"
	"github.com/callmine/rolecall/webhooks"
)

// This file keeps an outage of the database from filling the log. Everything that needs the
// database then fails, each part in its own words, and River alone has a dozen of them.

const (
	// maxTroubleKinds is how many kinds of lines about the database begin in one trouble with it; all
	// of River's are one. The others are only counted. With the lines of the outage itself, that is
	// less than ten. The first line of each [pgpool.Reason] comes besides: it says what an operator
	// has to do.
	maxTroubleKinds = 5
	// remindAfter is how often a lasting outage says what it left out.
	remindAfter = 10 * time.Minute
)

// trouble is what the lines about a database that doesn't answer have in common. It ends when a
// period passes without any.
type trouble struct {
	known   map[logKind]bool
	reasons map[pgpool.Reason]bool // that were written
	left    map[string]int         // lines that were left out, by message
	total   int
	period  time.Duration
	said    time.Time // when left was written last
}

// aboutDatabase reports whether an attribute says that the database doesn't answer. River writes
// errors as text. An error of an HTTP client, such as that of a collector of traces, is about
// another server.
func aboutDatabase(a slog.Attr) bool {
	if a.Value.Kind() == slog.KindString && (a.Key == "err" || a.Key == "error") {
		return unavailableText.MatchString(a.Value.String())
	}
	err, ok := a.Value.Any().(error)
	if !ok || a.Key != "error" || errors.Is(err, context.Canceled) {
		return false
	}
	_, elsewhere := errors.AsType[*url.Error](err)
	return store.Unavailable(err) && !elsewhere && !aboutLocks(err)
}

// aboutLocks reports whether Postgres answered that a lock, a slow statement or another transaction
// stood in the way. Such lines say which workspace waits, and no outage explains them.
func aboutLocks(err error) bool {
	pgErr, answered := errors.AsType[*pgconn.PgError](err)
	return answered && lockCode.MatchString(pgErr.Code)
}

// lockCode is of transaction rollbacks, of objects in use, and of canceled statements.
var lockCode = regexp.MustCompile(`^(40...|55...|57014)$`)

// aboutSender reports whether an attribute says that a request fails because of its sender. Senders
// break off, and their errors then look like those of a connection to the database.
func aboutSender(a slog.Attr) bool {
	return a.Key == "outcome" && a.Value.Resolve().String() != string(webhooks.OutcomeUnavailable)
}

// unavailableText finds errors of pgx that [store.Unavailable] would find as values.
var unavailableText = regexp.MustCompile(`failed to connect to|SQLSTATE (08|53|57P)|unexpected EOF|conn closed|connection reset`)

// troubled takes a line about the database, and reports whether it is left out.
func (k *logKinds) troubled(kind logKind) (left bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	first := logKind{message: kind.message, why: kind.why}
	if kind.byRiver {
		first = logKind{byRiver: true} // one of its lines says as much as a dozen
	}
	if k.trouble == nil {
		k.trouble = &trouble{known: map[logKind]bool{}, reasons: map[pgpool.Reason]bool{}, left: map[string]int{}, period: logAgainAfter, said: time.Now()}
		time.AfterFunc(logAgainAfter, k.settle)
	}
	t := k.trouble
	if kind.refused != "" && !t.reasons[kind.refused] {
		t.reasons[kind.refused] = true
		return false
	}
	if !t.known[first] && len(t.known) < maxTroubleKinds {
		t.known[first] = true
		return false
	}
	t.left[kind.message]++
	t.total++
	return true
}

// inTrouble reports whether the database is in trouble now.
func (k *logKinds) inTrouble() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.away || k.trouble != nil
}

// settle says, after a period of the trouble, what was left out in it. While the database is known
// to be away, that waits until it is back.
func (k *logKinds) settle() {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.trouble
	switch {
	case k.away && time.Since(t.said) < remindAfter:
		time.AfterFunc(logAgainAfter, k.settle)
		return
	case t.total == 0 && !k.away:
		k.trouble = nil
		return
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "the database didn't answer: lines about it were left out", 0)
	r.AddAttrs(slog.Int("left_out", t.total), slog.Any("lines", t.left))
	_ = k.next.Handle(context.Background(), r) // there is no place to report it
	t.left, t.total, t.said = map[string]int{}, 0, time.Now()
	t.period = min(2*t.period, logLongestAfter)
	time.AfterFunc(t.period, k.settle)
}

// setAway notes whether the database is away.
func (k *logKinds) setAway(away bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = away
}

// outage tells when the database goes, and when it is back.
type outage struct {
	failed int       // looks in a row
	since  time.Time // when the first of them began
	number int       // of the outages of this process
}

// goneAfter is how many looks in a row must fail. A single one may do so on a busy machine.
const goneAfter = 2

// saw notes the result of a look at the database, and logs one line when it goes and one when it is
// back.
func (s *Service) saw(ctx context.Context, o *outage, began time.Time, err error) {
	if err != nil {
		if o.failed++; o.failed == 1 {
			o.since = began
		}
		if o.failed == goneAfter {
			o.number++
			s.logger.ErrorContext(ctx, "the database is away: questions and webhooks get a 503, and nothing that was acknowledged is lost",
				"outage", o.number, "error", err)
			s.logKinds.setAway(true)
		}
		return
	}
	if o.failed >= goneAfter {
		s.logKinds.setAway(false)
		s.logger.WarnContext(ctx, "the database is back", "outage", o.number, "seconds", time.Since(o.since).Seconds())
	}
	o.failed = 0
}
