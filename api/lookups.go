package api

import (
	"context"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/callmine/rolecall/internal/bounded"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// lookupTimeout bounds a look-up, and what all look-ups of one request may cost it. Clerk answers in a fraction of it.
	lookupTimeout = time.Second

	// refusedFor is how long a stranger whom Clerk doesn't know either isn't looked up again: the longest that somebody who
	// was too early waits if no webhook comes. A webhook isn't held up, because the mirror is always read first.
	refusedFor = 10 * time.Second

	// answeredFor is the same after any other outcome. After a failure, it keeps an outage of Clerk from costing each
	// request lookupTimeout; after an admission, it keeps requests that read the mirror just before from asking once more.
	answeredFor = time.Second

	// lookupsPerUser in lookupsWindow are what one user may cause. Each needs one in an ordinary day, and whoever tries
	// invented workspaces must not use up the budget of all.
	lookupsPerUser = 5
	lookupsWindow  = 10 * time.Second

	// maxLookups is the most look-ups of one request, which run at the same time.
	maxLookups = 5

	// maxRemembered bounds the answers that are remembered. At some 200 bytes each they take 20 MB, and 10,000 strangers a
	// second are needed to push one out early.
	maxRemembered = 100_000
)

// lookups decides which strangers are looked up at Clerk, and lets requests share a look-up. A nil one makes none.
//
// A user without a workspace stands for all of the user's memberships.
type lookups struct {
	refresher Refresher
	db        store.DBTX
	told      func(RefreshOutcome)
	now       func() time.Time
	logger    *slog.Logger
	warnings  *rate.Limiter

	flights  singleflight.Group
	answered *bounded.Map[store.Pair, lookup] // those that have ended

	users *bounded.Limiter
}

// lookup is what came of one, and until when it isn't made again.
type lookup struct {
	outcome RefreshOutcome
	until   time.Time
}

// newLookups returns nil if there is nobody to ask.
func newLookups(cfg Config) *lookups {
	if cfg.Refresher == nil {
		return nil
	}
	return &lookups{
		refresher: cfg.Refresher,
		db:        cfg.DB,
		told:      cfg.Refreshed,
		now:       cfg.Now,
		logger:    cfg.Logger,
		warnings:  rate.NewLimiter(rate.Every(time.Second), 1),
		answered:  bounded.NewMap[store.Pair, lookup](maxRemembered),
		users:     bounded.NewLimiter(lookupsPerUser, lookupsWindow, cfg.Now),
	}
}

// refresh looks strangers up at Clerk, the first few of them and no longer than lookupTimeout, and reports whether the
// mirror should be read again. It returns early if ctx ends; look-ups go on, because other requests may wait for them.
func (l *lookups) refresh(ctx context.Context, strangers []store.Pair) bool {
	if l == nil || len(strangers) == 0 {
		return false
	}
	var due []store.Pair
	seen := map[store.Pair]bool{}
	for _, pair := range strangers {
		if seen[pair] || !clerksync.ValidID(clerksync.UserPrefix, pair.UserID) || !clerksync.ValidID(clerksync.OrganizationPrefix, pair.OrganizationID) {
			continue
		}
		seen[pair] = true
		due = l.addDue(due, pair)
	}
	return l.wait(ctx, due)
}

// refreshUser looks up all memberships of a user, as refresh does those of pairs.
func (l *lookups) refreshUser(ctx context.Context, userID string) bool {
	if l == nil || !clerksync.ValidID(clerksync.UserPrefix, userID) {
		return false
	}
	return l.wait(ctx, l.addDue(nil, store.Pair{UserID: userID}))
}

// addDue adds a pair that should be looked up. Who was admitted a moment ago is one, too: the mirror was read before, and
// must be read again.
func (l *lookups) addDue(due []store.Pair, pair store.Pair) []store.Pair {
	switch outcome := l.lately(pair); {
	case outcome == RefreshRefused, outcome == RefreshFailed:
		l.told(RefreshRemembered)
	case len(due) == maxLookups:
		l.told(RefreshLimited)
	default:
		return append(due, pair)
	}
	return due
}

// wait starts or joins the look-ups of all pairs, and waits for them.
func (l *lookups) wait(ctx context.Context, pairs []store.Pair) bool {
	flights := make([]<-chan singleflight.Result, len(pairs))
	for i, pair := range pairs {
		flights[i] = l.flights.DoChan(pair.UserID+" "+pair.OrganizationID, func() (any, error) {
			l.lookUp(context.WithoutCancel(ctx), pair)
			return nil, nil //nolint:nilnil // the mirror has the result
		})
	}
	patient, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	for _, flight := range flights {
		select {
		case <-flight:
		case <-patient.Done():
		}
	}
	return len(pairs) > 0
}

// lookUp makes one look-up, unless another one has just ended or the user had too many.
func (l *lookups) lookUp(ctx context.Context, pair store.Pair) {
	defer func() { // no request's guard is around this goroutine
		if p := recover(); p != nil {
			l.logger.ErrorContext(ctx, "look-up panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	switch {
	case l.lately(pair) != "":
		l.told(RefreshRemembered)
	case !l.users.Allow(pair.UserID):
		l.told(RefreshLimited)
	default:
		outcome, memory := l.ask(ctx, pair), answeredFor
		if outcome == RefreshRefused {
			memory = refusedFor
		}
		l.answered.Put(pair, lookup{outcome: outcome, until: l.now().Add(memory)})
		l.told(outcome)
	}
}

// ask asks Clerk, and then the mirror what has become of it.
func (l *lookups) ask(ctx context.Context, pair store.Pair) RefreshOutcome {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var err error
	if pair.OrganizationID == "" {
		err = l.refresher.RefreshUser(ctx, pair.UserID)
	} else {
		err = l.refresher.Refresh(ctx, pair.UserID, pair.OrganizationID)
	}
	member := false
	if err == nil {
		member, err = l.knows(ctx, pair)
	}
	switch {
	case err != nil:
		l.warn(ctx, pair, err)
		return RefreshFailed
	case member:
		return RefreshAdmitted
	default:
		return RefreshRefused
	}
}

// warn logs a failure, once a second at most and without the ids that an error of Clerk's may name.
func (l *lookups) warn(ctx context.Context, pair store.Pair, err error) {
	if !l.warnings.AllowN(l.now(), 1) {
		return
	}
	text := strings.ReplaceAll(err.Error(), pair.UserID, "{user_id}")
	if pair.OrganizationID != "" {
		text = strings.ReplaceAll(text, pair.OrganizationID, "{organization_id}")
	}
	l.logger.WarnContext(ctx, "look-up at Clerk failed: the refusal stands", "error", text)
}

// lately returns what came of the pair's last look-up, or "" if it is time for another one.
func (l *lookups) lately(pair store.Pair) RefreshOutcome {
	if last := l.answered.Find(pair); l.now().Before(last.until) {
		return last.outcome
	}
	return ""
}

// knows asks the mirror whether the pair's membership, or any of the user's, counts.
func (l *lookups) knows(ctx context.Context, pair store.Pair) (bool, error) {
	if pair.OrganizationID == "" {
		seats, err := store.Seats(ctx, l.db, pair.UserID)
		return len(seats) > 0, err
	}
	standings, err := store.Standings(ctx, l.db, pair)
	if err != nil {
		return false, err
	}
	return reasonFor(standings[0]) == clerksync.ReasonAllowed, nil
}
