package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/replica"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// A search reads memberships whose roles may give the permission, and then decides each as an
// evaluation does. So every result would be allowed, and the list need only leave out none.

const (
	// searchStep is how many memberships are read and decided at a time, in one round trip each: as
	// many as the largest list of evaluations.
	searchStep = maxChecks
	// searchSteps bounds the steps of one request. The largest page takes three, unless memberships
	// that seem to have the permission don't have it. A page then may have fewer results than asked
	// for, and a token for the rest.
	searchSteps = 8
)

type searchBody struct {
	Page    nextPage      `json:"page"` // first, as the standard recommends
	Results []searchFound `json:"results"`
}

type nextPage struct {
	NextToken string `json:"next_token"`
}

// searchFound is a subject or a resource with type and id, or an action with a name.
type searchFound struct {
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// searchSubject answers POST /access/v1/search/subject with the users who may do something.
func (s *server) searchSubject(w http.ResponseWriter, r *http.Request, service auth.Identity) error {
	q, page, err := readSearch(w, r, subjects)
	if err != nil {
		return err
	}
	workspaceID := q.resource.workspace(s.cfg.Policy())
	if q.subject.Type != typeUser || !clerksync.Storable(workspaceID) || !service.Rights.In(workspaceID) || !clerksync.Storable(q.action) {
		return write(w, noResults())
	}
	return s.search(w, r, holderSearch{
		caller: service, question: q, page: page, share: workspaceID,
		list: func(ctx context.Context, sought store.Sought, after store.Position) ([]store.Holder, error) {
			return readFrom(ctx, s.cfg.DB, func(ctx context.Context, db store.DBTX) ([]store.Holder, error) {
				return store.HoldersIn(ctx, db, workspaceID, sought, after, searchStep)
			})
		},
		found: func(p store.Pair) searchFound { return searchFound{Type: typeUser, ID: p.UserID} },
		// What concerns the workspace concerns all its members.
		over: func(standing clerksync.Standing, d clerksync.Decision) bool {
			return standing.OrganizationDead || d.Reason == clerksync.ReasonStale
		},
	})
}

// searchResource answers POST /access/v1/search/resource with the workspaces in which a user may do
// something.
func (s *server) searchResource(w http.ResponseWriter, r *http.Request, caller auth.Identity) error {
	q, page, err := readSearch(w, r, resources)
	if err != nil {
		return err
	}
	if !mayAskAbout(caller, q.subject) {
		return errOwnSubjectOnly
	}
	if err := s.inSession(r.Context(), caller); err != nil { // also if there is no membership to read
		return err
	}
	if q.subject.Type != typeUser || !s.cfg.Policy().IsWorkspaceType(q.resource.Type) || !clerksync.Storable(q.subject.ID) || !clerksync.Storable(q.action) {
		return write(w, noResults())
	}
	return s.search(w, r, holderSearch{
		caller: caller, question: q, page: page, share: q.subject.ID,
		list: func(ctx context.Context, sought store.Sought, after store.Position) ([]store.Holder, error) {
			return readFrom(ctx, s.cfg.DB, func(ctx context.Context, db store.DBTX) ([]store.Holder, error) {
				return store.HoldingsOf(ctx, db, q.subject.ID, sought, after, searchStep)
			})
		},
		found: func(p store.Pair) searchFound { return searchFound{Type: q.resource.Type, ID: p.OrganizationID} },
		over:  func(standing clerksync.Standing, _ clerksync.Decision) bool { return standing.User.Refusal() != "" },
	})
}

// searchAction answers POST /access/v1/search/action with all that a user may do in a workspace.
func (s *server) searchAction(w http.ResponseWriter, r *http.Request, caller auth.Identity) error {
	q, page, err := readSearch(w, r, actions)
	if err != nil {
		return err
	}
	if !mayAskAbout(caller, q.subject) {
		return errOwnSubjectOnly
	}
	inForce := s.cfg.Policy()
	pairs := []store.Pair{}
	if pair, ok := q.pair(inForce); ok && caller.Rights.In(pair.OrganizationID) {
		pairs = append(pairs, pair)
	}
	standings, err := s.standingsAsFresh(r.Context(), caller, []clerksync.Freshness{q.demand}, pairs...)
	if err != nil {
		return err
	}
	if len(pairs) == 0 {
		return write(w, noResults())
	}
	body, now := noResults(), s.cfg.Now()
	for _, permission := range inForce.Grants.Effective(standings[0]) { // in their order
		switch {
		case permission <= page.after || !q.demand.Judge(decideBy(inForce, caller, standings[0], permission), now).Allowed:
		case len(body.Results) == page.limit:
			body.Page.NextToken = page.tokenAfter(body.Results[page.limit-1].Name)
			return write(w, body)
		default:
			body.Results = append(body.Results, searchFound{Name: permission})
		}
	}
	return write(w, body)
}

// readSearch reads the body of a search.
func readSearch(w http.ResponseWriter, r *http.Request, open sought) (q question, page searchPage, err error) {
	body, err := readQuestions(w, r)
	if err != nil {
		return q, page, err
	}
	if q, err = body.question(open); err != nil {
		return q, page, err
	}
	page, err = body.page(q, open)
	return q, page, err
}

func noResults() searchBody { return searchBody{Results: []searchFound{}} }

// holderSearch searches the members of one workspace, or the memberships of one user.
type holderSearch struct {
	caller   auth.Identity
	question question
	page     searchPage
	share    string // the workspace or the user, which is searched once at a time
	// list reads memberships that may be results, after a position.
	list func(ctx context.Context, sought store.Sought, after store.Position) ([]store.Holder, error)
	// found returns the result that a pair is.
	found func(store.Pair) searchFound
	// over reports whether a decision shows that all further ones refuse, too.
	over func(clerksync.Standing, clerksync.Decision) bool
}

// search answers with one page of a search.
func (s *server) search(w http.ResponseWriter, r *http.Request, search holderSearch) error {
	after := store.Position{}
	if search.page.after != "" {
		var ok bool
		if after, ok = positionAt(search.page.after); !ok {
			return errPageToken
		}
	}
	release, err := s.readShares.Take(r.Context(), "search of "+search.share)
	if err != nil {
		return err
	}
	defer release()
	found, rest, err := s.holders(r.Context(), search, after)
	if errors.Is(err, replica.ErrOutdated) { // what it began with doesn't count any more
		replica.Of(r.Context()).Restart(replica.OutcomeLate)
		found, rest, err = s.holders(r.Context(), search, after)
	}
	if err != nil {
		return err
	}
	body := noResults()
	if len(found) > search.page.limit {
		found = found[:search.page.limit]
		rest = placeOf(found[search.page.limit-1].Position)
	}
	for _, holder := range found {
		body.Results = append(body.Results, search.found(holder.Pair))
	}
	body.Page.NextToken = search.page.tokenAfter(rest)
	return write(w, body)
}

// holders returns the results of a search after a position: at least one more than a page has, if
// there are so many. rest is the place up to which it has searched; "" if nothing is left.
func (s *server) holders(ctx context.Context, search holderSearch, after store.Position) (found []store.Holder, rest string, err error) {
	q, inForce := search.question, s.cfg.Policy()
	sought := store.Sought{Permission: q.action, Roles: inForce.Grants.Granting(q.action)}
	for step := 0; len(found) <= search.page.limit; step++ {
		if step == searchSteps {
			return found, placeOf(after), nil
		}
		listed, err := search.list(ctx, sought, after)
		if err != nil || len(listed) == 0 {
			return found, "", err
		}
		standings, err := s.searchStandings(ctx, search, listed, step == 0)
		if err != nil {
			return nil, "", err
		}
		now := s.cfg.Now()
		for i, holder := range listed {
			d := q.demand.Judge(decideBy(inForce, search.caller, standings[i], q.action), now)
			if search.over(standings[i], d) {
				return found, "", nil
			}
			if d.Allowed && search.caller.Rights.In(holder.Pair.OrganizationID) {
				found = append(found, holder)
			}
		}
		if len(listed) < searchStep {
			return found, "", nil
		}
		after = listed[len(listed)-1].Position
	}
	return found, "", nil
}

// searchStandings reads the standings of memberships. Only the first step of a search waits for the
// demanded revision, so that no search waits longer than an evaluation.
func (s *server) searchStandings(ctx context.Context, search holderSearch, listed []store.Holder, wait bool) ([]clerksync.Standing, error) {
	pairs, demands := make([]store.Pair, len(listed)), make([]clerksync.Freshness, len(listed))
	for i, holder := range listed {
		pairs[i] = holder.Pair
		if wait {
			demands[i] = search.question.demand
		}
	}
	return s.standingsAsFresh(ctx, search.caller, demands, pairs...)
}
