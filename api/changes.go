package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// pathChanges is the route of the change feed. Its requests may last long, and bound themselves.
const pathChanges = "/v1/changes"

const (
	defaultChanges = 100
	// maxWait is how long a request waits for changes at most, in seconds. Most balancers cut a
	// connection after a minute of silence.
	maxWait = 60
	// waitSlack is how long the answer may take after the wait.
	waitSlack = 15 * time.Second
	// maxFollowers is how many requests of one service may follow the feed at a time: some for each of
	// its processes.
	maxFollowers = 256
	// LongestPoll is how long an answer to GET /v1/changes takes at most. Proxies must wait for
	// longer.
	LongestPoll = maxWait*time.Second + waitSlack
	// feedReads is how many pages each service may read at a time.
	feedReads = 2
)

// errTooManyFollowers is a caller's fault: a service needs one request for each of its processes.
var errTooManyFollowers = &problem{
	Type: problemType + "too-many-followers", Title: "Too many followers", Status: http.StatusTooManyRequests,
	Detail:     "This service follows the change feed with " + strconv.Itoa(maxFollowers) + " requests already. One for each process is enough: it gets the changes of all workspaces.",
	retryAfter: "5",
}

// errCursorExpired tells a consumer to begin anew.
var errCursorExpired = &problem{
	Type: problemType + "cursor-expired", Title: "Cursor expired", Status: http.StatusGone,
	Detail: "Changes after this cursor were cut out of the log, or the database has changed and some were lost. Forget what you know, and begin anew without a cursor.",
}

// feedBody is a page of the change feed.
type feedBody struct {
	Data          []feedEntryBody `json:"data"`
	NextCursor    string          `json:"next_cursor"`
	CompleteUntil time.Time       `json:"complete_until"`
}

// feedEntryBody is a change. Its nulls say that a change of this kind has no such thing.
type feedEntryBody struct {
	Cursor       string    `json:"cursor"`
	At           time.Time `json:"at"`
	WorkspaceID  *string   `json:"workspace_id"` // null: of the whole instance
	Kind         string    `json:"kind"`
	Target       string    `json:"target"`
	UserID       *string   `json:"user_id"`
	MembershipID *string   `json:"membership_id"`
	Role         *string   `json:"role"`
	Revision     *int64    `json:"revision"` // null: of the whole instance
	Cause        string    `json:"cause"`

	// What has been so of a user since then. Left out if the entry doesn't say it.
	Deleted       *bool `json:"deleted,omitempty"`
	Banned        *bool `json:"banned,omitempty"`
	Deprovisioned *bool `json:"deprovisioned,omitempty"`
}

func feedBodyOf(page store.FeedPage) feedBody {
	body := feedBody{Data: []feedEntryBody{}, NextCursor: page.Next.String(), CompleteUntil: page.CompleteUntil}
	for _, e := range page.Entries {
		body.Data = append(body.Data, feedEntryBodyOf(e))
	}
	return body
}

func feedEntryBodyOf(e store.FeedEntry) feedEntryBody {
	c := e.FeedChange()
	body := feedEntryBody{
		Cursor: e.Place.String(), At: e.At.UTC(), WorkspaceID: unlessEmpty(c.OrganizationID), Kind: string(c.Kind), Target: c.Target,
		UserID: unlessEmpty(c.UserID), MembershipID: unlessEmpty(c.MembershipID), Role: unlessEmpty(c.Role), Cause: e.Cause,
		Deleted: c.Deleted, Banned: c.Banned, Deprovisioned: c.Deprovisioned,
	}
	if c.OrganizationID != "" {
		body.Revision = &e.Revision
	}
	return body
}

// feedRequest is a request for the change feed.
type feedRequest struct {
	service string
	query   store.FeedQuery
	wait    time.Duration
}

// changes answers GET /v1/changes: what has changed since a cursor, at once or as soon as something
// does. A consumer that keeps the cursor gets each change once.
func (s *server) changes(w http.ResponseWriter, r *http.Request, service auth.Identity) error {
	asked, err := feedRequestOf(r, service)
	if err != nil {
		return err
	}
	if s.cfg.Feed == nil {
		return errUnavailable
	}
	leave := s.followers.enter(service.Service)
	if leave == nil {
		return errTooManyFollowers
	}
	defer leave()
	if wantsEvents(r) {
		return s.streamChanges(w, r, asked)
	}
	return s.pollChanges(w, r, asked)
}

func feedRequestOf(r *http.Request, service auth.Identity) (asked feedRequest, err error) {
	if r.Header.Values(headerOnBehalfOf) != nil {
		return asked, badRequest("Rolecall-On-Behalf-Of isn't allowed here: a service follows the feed in its own name.")
	}
	q, err := readQuery(r, []string{"after", "limit", "wait", paramWorkspaceID})
	if err != nil {
		return asked, err
	}
	if !service.Rights.ReadsInOwnName() {
		return asked, scopeMissing(auth.ScopeRead)
	}
	asked.service = service.Service
	if asked.query.Limit, err = limitOf(q, defaultChanges); err != nil {
		return asked, err
	}
	if asked.wait, err = waitOf(q); err != nil {
		return asked, err
	}
	if asked.query.OrganizationIDs, err = followedWorkspaces(q, service.Rights); err != nil {
		return asked, err
	}
	return asked, asked.readPlace(q, r)
}

const paramWorkspaceID = "workspace_id"

// followedWorkspaces returns the workspaces whose changes a service gets; nil for all.
func followedWorkspaces(q query, rights *auth.Rights) ([]string, error) {
	id, named := q[paramWorkspaceID]
	switch {
	case named && !clerksync.ValidID(clerksync.OrganizationPrefix, id):
		return nil, badRequest("workspace_id must be the id of a workspace (org_…).")
	case named && !rights.In(id):
		return nil, errWorkspaceNotListed
	case named:
		return []string{id}, nil
	case rights.Everywhere():
		return nil, nil
	default:
		return slices.Clone(rights.Workspaces), nil
	}
}

// waitOf reads the query parameter wait; none means not to wait.
func waitOf(q query) (time.Duration, error) {
	raw, given := q["wait"]
	if !given {
		return 0, nil
	}
	seconds, err := strconv.Atoi(raw)
	if err != nil || seconds < 0 || seconds > maxWait {
		return 0, badRequest("wait must be a whole number of seconds from 0 to " + strconv.Itoa(maxWait) + ".")
	}
	return time.Duration(seconds) * time.Second, nil
}

// wantsEvents reports whether the caller asks for a stream of events.
func wantsEvents(r *http.Request) bool {
	for accepted := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		kind, _, _ := strings.Cut(accepted, ";")
		if strings.EqualFold(strings.TrimSpace(kind), eventStream) {
			return true
		}
	}
	return false
}

// pollChanges answers with a page. If it is empty, the answer waits for a change.
func (s *server) pollChanges(w http.ResponseWriter, r *http.Request, asked feedRequest) error {
	until := time.Now().Add(asked.wait)
	lastLonger(w, asked.wait+waitSlack)
	for {
		page, err := s.feedPage(r.Context(), asked)
		if err != nil {
			return err
		}
		left := time.Until(until)
		if len(page.Entries) > 0 || left <= 0 || r.Method == http.MethodHead {
			vary(w, "Accept")
			return write(w, feedBodyOf(page))
		}
		s.awaitChange(r, asked.query, page.Last, left)
		if _, err := s.identify(r); err != nil { // a token may be taken back
			return err
		}
		asked.query = asked.query.Following(page)
		if s.feedParts() {
			until = time.Now()
		}
	}
}

// lastLonger lets a request last longer than others. A writer without deadlines has none that would
// end it.
func lastLonger(w http.ResponseWriter, most time.Duration) {
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(most)) // net/http reads on, to notice that the caller goes
	_ = connection.SetWriteDeadline(time.Now().Add(most))
}

// awaitChange waits for changes after a page. Waiting doesn't count as time that
// the request took.
func (s *server) awaitChange(r *http.Request, q store.FeedQuery, last store.FeedMark, most time.Duration) {
	began := time.Now()
	s.cfg.Feed.Wait(r.Context(), q, last, most)
	request.Of(r.Context()).Waited(time.Since(began))
}

// feedParts reports whether the process is stopping.
func (s *server) feedParts() bool {
	select {
	case <-s.cfg.Feed.Draining():
		return true
	default:
		return false
	}
}

// feedPage reads a page, in the turn of the service.
func (s *server) feedPage(ctx context.Context, asked feedRequest) (store.FeedPage, error) {
	turn, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	release, err := s.feedShares.Take(turn, asked.service)
	if err != nil {
		return store.FeedPage{}, err
	}
	defer release()
	return s.cfg.Feed.Page(turn, asked.query)
}

// followers counts the requests that follow the feed, by service.
type followers struct {
	mu  sync.Mutex
	now map[string]int
}

// enter admits a request, and returns the function that ends it; nil if the service has too many.
func (f *followers) enter(service string) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now[service] >= maxFollowers {
		return nil
	}
	f.now[service]++ // services are few: their names are configured
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.now[service]--
	}
}
