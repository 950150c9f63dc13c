package lookup

import (
	"context"
	"errors"
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
	// defaultTimeout is the default of Config.Timeout. Clerk answers in a fraction of it.
	defaultTimeout = time.Second

	// refusedFor is the time until a stranger is looked up again whom Clerk didn't show as a
	// member. A user who asked just before joining waits that long at most, even if no webhook
	// comes. A webhook counts at once, because the mirror is always read first.
	refusedFor = 10 * time.Second

	// answeredFor is that time after any other result. After a failure, it spares other requests
	// the wait for it while Clerk is down. After an admission, it spares a second look-up to
	// requests that read the mirror just before.
	answeredFor = time.Second

	// perUser is how many look-ups one user may cause in perUserWindow. A user needs one on an
	// ordinary day. A user who tries invented workspaces must not use up the budget of all users.
	perUser       = 5
	perUserWindow = 10 * time.Second

	// maxAtOnce is how many look-ups one request may cause. They run at the same time.
	maxAtOnce = 5

	// maxRemembered bounds the answers that are remembered. At some 200 bytes each they take 20 MB,
	// and 10,000 strangers a second are needed to push one out early.
	maxRemembered = 100_000
)

// Result is the outcome for a stranger whom the mirror would refuse. Several requests may share one
// look-up.
type Result string

// The results. The first three are reported once for each look-up. The others are reported for each
// user and workspace that a request refused without a look-up.
const (
	// Admitted means that the mirror now knows a membership.
	Admitted Result = "admitted"
	// Refused means that Clerk answered, and the mirror still knows none.
	Refused Result = "refused"
	// Failed means that there was no answer in time.
	Failed Result = "failed"
	// Remembered means that Clerk was asked a moment ago.
	Remembered Result = "remembered"
	// Limited means that the user, or the one request, had too many look-ups already.
	Limited Result = "limited"
)

// Results lists all results.
func Results() []Result { return []Result{Admitted, Refused, Failed, Remembered, Limited} }

// Asker asks Clerk and merges what it answers into the mirror; [Refresher] does. Both methods
// return nil once Clerk's answer is merged and committed, whatever it is. They return an error if
// there is no answer. They must end when ctx does, and be safe for concurrent use.
type Asker interface {
	// Refresh asks for the memberships of one user in one organization, by their ids at Clerk.
	Refresh(ctx context.Context, userID, organizationID string) error
	// RefreshUser asks for all memberships of one user.
	RefreshUser(ctx context.Context, userID string) error
}

// Config configures [Lookups].
type Config struct {
	// Asker makes each look-up.
	Asker Asker
	// DB is the mirror. It is read after each look-up.
	DB store.DBTX
	// Told is called with each [Result]. It must not block, and must be safe for concurrent use.
	// Optional.
	Told func(Result)
	// Timeout bounds a look-up, and all look-ups of one request together. Defaults to a second.
	Timeout time.Duration
	// Now is the clock by which results are remembered. Defaults to time.Now.
	Now func() time.Time
	// Logger gets one line a second at most for look-ups that fail.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Told == nil {
		c.Told = func(Result) {}
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Asker == nil:
		return errors.New("look-ups: Asker is missing")
	case c.DB == nil:
		return errors.New("look-ups: DB is missing")
	case c.Logger == nil:
		return errors.New("look-ups: Logger is missing")
	default:
		return nil
	}
}

// Lookups decides which strangers are looked up at Clerk, and lets requests share a look-up.
//
// A pair without a workspace stands for all memberships of its user.
type Lookups struct {
	cfg      Config
	warnings *rate.Limiter
	flights  singleflight.Group
	answered *bounded.Map[store.Pair, answer] // of look-ups that have ended
	users    *bounded.Limiter
}

// answer is the result of a look-up, and until when it isn't repeated.
type answer struct {
	result Result
	until  time.Time
}

// New returns look-ups that remember no result yet.
func New(cfg Config) (*Lookups, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Lookups{
		cfg:      cfg,
		warnings: rate.NewLimiter(rate.Every(time.Second), 1),
		answered: bounded.NewMap[store.Pair, answer](maxRemembered),
		users:    bounded.NewLimiter(perUser, perUserWindow, cfg.Now),
	}, nil
}

// Refresh looks up strangers at Clerk and reports whether the mirror should be read again. It looks
// up the first few of them, for [Config].Timeout at most. It returns early if ctx ends; the
// look-ups continue, because other requests may wait for them.
func (l *Lookups) Refresh(ctx context.Context, strangers []store.Pair) bool {
	var due []store.Pair
	seen := map[store.Pair]bool{}
	for _, pair := range strangers {
		if known := clerksync.ValidID(clerksync.OrganizationPrefix, pair.OrganizationID); known && !seen[pair] {
			seen[pair] = true
			due = l.addDue(due, pair)
		}
	}
	return l.wait(ctx, due)
}

// RefreshUser looks up all memberships of a user. See Refresh.
func (l *Lookups) RefreshUser(ctx context.Context, userID string) bool {
	return l.wait(ctx, l.addDue(nil, store.Pair{UserID: userID}))
}

// addDue adds a pair that should be looked up. It also adds a pair that was admitted a moment ago:
// the request read the mirror before that, and must read it again. Clerk isn't asked about a user
// whose id it couldn't have made.
func (l *Lookups) addDue(due []store.Pair, pair store.Pair) []store.Pair {
	if !clerksync.ValidID(clerksync.UserPrefix, pair.UserID) {
		return due
	}
	result := l.lastResult(pair)
	switch {
	case result == Refused, result == Failed:
		l.cfg.Told(Remembered)
	case len(due) == maxAtOnce:
		l.cfg.Told(Limited)
	default:
		return append(due, pair)
	}
	return due
}

// wait starts or joins the look-ups of all pairs, and waits for them.
func (l *Lookups) wait(ctx context.Context, pairs []store.Pair) bool {
	flights := make([]<-chan singleflight.Result, len(pairs))
	for i, pair := range pairs {
		flights[i] = l.flights.DoChan(pair.UserID+" "+pair.OrganizationID, func() (any, error) {
			l.lookUp(context.WithoutCancel(ctx), pair)
			return nil, nil //nolint:nilnil // the mirror has the result
		})
	}
	patient, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
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
func (l *Lookups) lookUp(ctx context.Context, pair store.Pair) {
	defer func() { // no request recovers the panics of this goroutine
		if p := recover(); p != nil {
			l.cfg.Logger.ErrorContext(ctx, "look-up panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	switch {
	case l.lastResult(pair) != "":
		l.cfg.Told(Remembered)
	case !l.users.Allow(pair.UserID):
		l.cfg.Told(Limited)
	default:
		result, memory := l.ask(ctx, pair), answeredFor
		if result == Refused {
			memory = refusedFor
		}
		l.answered.Put(pair, answer{result: result, until: l.cfg.Now().Add(memory)})
		l.cfg.Told(result)
	}
}

// ask asks Clerk, and then reads the mirror for the result.
func (l *Lookups) ask(ctx context.Context, pair store.Pair) Result {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	var err error
	if pair.OrganizationID == "" {
		err = l.cfg.Asker.RefreshUser(ctx, pair.UserID)
	} else {
		err = l.cfg.Asker.Refresh(ctx, pair.UserID, pair.OrganizationID)
	}
	member := false
	if err == nil {
		member, err = l.isMember(ctx, pair)
	}
	switch {
	case err != nil:
		l.warn(ctx, pair, err)
		return Failed
	case member:
		return Admitted
	default:
		return Refused
	}
}

// warn logs a failure, once a second at most and without the ids that an error of Clerk's may name.
func (l *Lookups) warn(ctx context.Context, pair store.Pair, err error) {
	if !l.warnings.AllowN(l.cfg.Now(), 1) {
		return
	}
	text := strings.ReplaceAll(err.Error(), pair.UserID, "{user_id}")
	if pair.OrganizationID != "" {
		text = strings.ReplaceAll(text, pair.OrganizationID, "{organization_id}")
	}
	l.cfg.Logger.WarnContext(ctx, "look-up at Clerk failed: the refusal stands", "error", text)
}

// lastResult returns the result of the pair's last look-up, or "" if it is time for another one.
func (l *Lookups) lastResult(pair store.Pair) Result {
	if last := l.answered.Find(pair); l.cfg.Now().Before(last.until) {
		return last.result
	}
	return ""
}

// isMember reads from the mirror whether the pair's membership counts. For a pair without a
// workspace, any membership of the user will do.
func (l *Lookups) isMember(ctx context.Context, pair store.Pair) (bool, error) {
	if pair.OrganizationID == "" {
		memberships, err := store.MembershipsOfUser(ctx, l.cfg.DB, pair.UserID, store.Position{}, 1)
		return len(memberships) > 0, err
	}
	standings, err := store.Standings(ctx, l.cfg.DB, pair)
	if err != nil {
		return false, err
	}
	const membershipAlone = "" // which no policy changes
	return clerksync.Grants(nil).Decide(standings[0], membershipAlone).Allowed, nil
}
