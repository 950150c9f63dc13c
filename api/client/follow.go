package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// defaultWait is shorter than the time after which any usual proxy gives a silent request up.
	defaultWait = 15 * time.Second

	// mostWait is the longest wait that Rolecall takes.
	mostWait = 60 * time.Second

	// mostChanges is the most changes that Rolecall puts into one answer.
	mostChanges = 200

	// waitGrace is how much later than its wait an answer may end. Then its server counts as silent.
	waitGrace = 10 * time.Second

	// maxPage bounds an answer. It is many times the size of 200 changes with the longest ids.
	maxPage = 8 << 20

	// firstRest and mostRest bound the time before another try, which doubles from one failure to
	// the next. A second one is right after a restart, and 2 seconds don't burden a server that
	// comes back.
	firstRest = 50 * time.Millisecond
	mostRest  = 2 * time.Second

	// mostRetryAfter bounds how long a Retry-After is obeyed: nobody may silence revocations for a
	// day.
	mostRetryAfter = time.Minute
)

// Latest is a place in the feed: after all that was published when it is asked for. It is for
// consumers that have nothing to drop or to correct when they begin.
const Latest = "latest"

// FollowOptions say what [Client.Follow] follows, and from where.
type FollowOptions struct {
	// After is the cursor of a batch or of a change: the first batch begins after it. Empty means
	// from the beginning of the feed, and Latest only what changes from now on.
	After string
	// WorkspaceID limits the changes to those of one workspace and of the whole instance. Empty
	// means all.
	WorkspaceID string
	// StartAnew starts anew when a cursor has expired, instead of ending with ErrCursorExpired: from
	// Latest if After was that, else from the beginning. The first batch then has Anew: the consumer
	// must drop what it knows.
	StartAnew bool
	// Limit is how many changes a batch has at most, 1 to 200. Defaults to 200.
	Limit int
	// Wait is how long Rolecall may wait for a change before it answers with an empty batch, in
	// whole seconds up to 60. It must be shorter than any time-out of a proxy between, and of
	// HTTPClient's Transport. Defaults to 15 seconds.
	Wait time.Duration
	// Failed is called with each failure after which Follow tries again, such as a network error or
	// a 503. Optional.
	Failed func(error)
}

func (o FollowOptions) withDefaults() FollowOptions {
	if o.Limit == 0 {
		o.Limit = mostChanges
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	return o
}

func (o FollowOptions) validate() error {
	var problems []error
	if o.WorkspaceID != "" && !nameable(o.WorkspaceID) {
		problems = append(problems, fmt.Errorf("the WorkspaceID must be at most %d bytes of UTF-8 without NUL", maxID))
	}
	if o.Limit < 1 || o.Limit > mostChanges {
		problems = append(problems, fmt.Errorf("the Limit must be 1 to %d", mostChanges))
	}
	if o.Wait < time.Second || o.Wait > mostWait || o.Wait%time.Second != 0 {
		problems = append(problems, errors.New("the Wait must be 1 to 60 whole seconds"))
	}
	return errors.Join(problems...)
}

// Follow returns the changes of Rolecall's feed as they happen, batch by batch, as the service. The
// loop's body handles a batch; while it runs, nothing more is asked for. So a consumer that stores
// Batch.Cursor in the transaction of its effects handles each change exactly once, however often it
// is started again. One that stores the cursor later may see a batch twice, and none is left out.
//
//	for batch, err := range rolecall.Follow(ctx, client.FollowOptions{After: stored}) {
//
// Follow asks again by itself after network errors, time-outs, answers that aren't Rolecall's and
// the statuses of outages, at growing intervals of 2 seconds at most, and tells
// FollowOptions.Failed. A batch is taken whole or not at all. Batches keep coming: an empty one
// after FollowOptions.Wait says that nothing has changed.
//
// The last pair has an error: the context's, ErrCursorExpired, or the *Error with which Rolecall
// itself refused the question, such as a 401.
func (c *Client) Follow(ctx context.Context, options FollowOptions) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		f, err := c.newFollower(options)
		for err == nil {
			var batch Batch
			if batch, err = f.next(ctx); err == nil && !yield(batch, nil) {
				return
			}
		}
		yield(Batch{}, fmt.Errorf("follow: %w", err))
	}
}

// follower asks for one batch after the other, by long polls: unlike an event stream, each answer
// ends, so that no proxy holds it back, a cut one is known, and a slow consumer holds up no one.
type follower struct {
	client  *Client
	options FollowOptions
	query   url.Values

	start    string // without a cursor
	after    string
	anew     bool          // the next batch begins the feed
	atOnce   bool          // the next question doesn't wait for a change
	failures int           // in a row
	anews    int           // starts anew since the consumer had caught up
	rest     time.Duration // before the next question
}

func (c *Client) newFollower(o FollowOptions) (*follower, error) {
	o = o.withDefaults()
	if c.cfg.ServiceToken == "" {
		return nil, errors.New("the client has no ServiceToken")
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	f := &follower{client: c, options: o, after: o.After, atOnce: true}
	if o.After == Latest {
		f.start = Latest
	}
	f.anew = f.after == f.start
	f.query = url.Values{"limit": {strconv.Itoa(o.Limit)}}
	if o.WorkspaceID != "" {
		f.query.Set("workspace_id", o.WorkspaceID)
	}
	return f, nil
}

// next returns the next batch.
func (f *follower) next(ctx context.Context) (Batch, error) {
	for {
		if !rest(ctx, f.rest) {
			return Batch{}, ctx.Err()
		}
		asked := time.Now()
		batch, err := f.ask(ctx)
		switch {
		case err == nil:
			f.take(&batch, time.Since(asked))
			return batch, nil
		case ctx.Err() != nil:
			return Batch{}, ctx.Err()
		case errors.Is(err, ErrCursorExpired) && f.options.StartAnew && f.after != f.start:
			f.startAnew()
		case ends(err):
			return Batch{}, err
		default:
			f.options.Failed(err)
			f.failures++
			f.rest = max(restAfter(f.failures), retryAfter(err))
		}
	}
}

// startAnew makes the next question one without a cursor.
func (f *follower) startAnew() {
	f.after, f.anew, f.atOnce, f.rest = f.start, true, true, 0
	f.anews++
	if f.anews > 1 { // a server that lets no one catch up isn't asked all the time
		f.rest = restAfter(f.anews)
	}
}

// take notes that a batch has arrived. An empty one that came much too early makes the next
// question wait, so that a server that doesn't wait isn't asked all the time.
func (f *follower) take(batch *Batch, took time.Duration) {
	batch.Anew = f.anew
	early := len(batch.Changes) == 0 && batch.Cursor == f.after && !f.atOnce && took < f.options.Wait/2
	if early {
		f.failures++
	} else {
		f.failures = 0
	}
	f.rest = 0
	if early {
		f.rest = restAfter(f.failures)
	}
	if !batch.More {
		f.anews = 0
	}
	f.after, f.anew, f.atOnce = batch.Cursor, false, batch.More
}

// ask asks once for what comes after the last batch.
func (f *follower) ask(ctx context.Context) (Batch, error) {
	wait := f.options.Wait
	if f.atOnce {
		wait = 0
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait+waitGrace, errors.New("the answer didn't end in time"))
	defer cancel()
	f.query.Set("wait", strconv.Itoa(int(wait/time.Second)))
	f.query.Del("after")
	if f.after != "" {
		f.query.Set("after", f.after)
	}
	answer, err := f.client.try(ctx, request{
		method: http.MethodGet, path: "/v1/changes", token: f.client.cfg.ServiceToken, query: f.query, patient: true, most: maxPage,
	}, nil)
	switch {
	case errors.Is(err, ErrNotADecision):
		return Batch{}, ErrNotChanges
	case err != nil && ctx.Err() != nil:
		return Batch{}, context.Cause(ctx)
	case err != nil:
		return Batch{}, expired(err)
	}
	return readBatch(answer, f.after, f.options.Limit)
}

// expired makes Rolecall's own 410 an ErrCursorExpired.
func expired(err error) error {
	if answered, ok := errors.AsType[*Error](err); ok && answered.own() && answered.Status == http.StatusGone {
		return fmt.Errorf("%w: %w", ErrCursorExpired, answered)
	}
	return err
}

// ends reports whether Rolecall itself refuses the question, so that asking again is of no use. A
// refusal of another server between may pass.
func ends(err error) bool {
	answered, ok := errors.AsType[*Error](err)
	if !ok || !answered.own() {
		return false
	}
	passes := answered.Status == http.StatusRequestTimeout || answered.Status == http.StatusTooManyRequests
	return answered.Status >= 400 && answered.Status < 500 && !passes
}

// own reports whether the answer is a problem of Rolecall.
func (e *Error) own() bool { return strings.HasPrefix(e.Type, problemType) }

// restAfter returns how long to rest after a number of failures in a row. Chance spreads the
// followers of a server that was away.
func restAfter(failures int) time.Duration {
	rest := min(firstRest<<min(failures-1, 16), mostRest)
	return rest/2 + rand.N(rest/2+1) //nolint:gosec // no secret depends on it
}

// retryAfter returns for how long the server asked not to be asked.
func retryAfter(err error) time.Duration {
	if answered, ok := errors.AsType[*Error](err); ok {
		return min(answered.retryAfter, mostRetryAfter)
	}
	return 0
}

// readRetryAfter reads the header Retry-After: seconds or a date. Anything else is 0.
func readRetryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 1<<20)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// rest waits, and reports whether the context goes on.
func rest(ctx context.Context, long time.Duration) bool {
	if long <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
