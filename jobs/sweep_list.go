package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// maxPageSize is the most that Clerk lists in one answer.
	maxPageSize = 500
	// pageOverlap is how many objects of the page before are asked for again, at most half a page. A list shifts when
	// something before the page is deleted meanwhile: only a page that shows something of the one before can't have skipped
	// anything.
	pageOverlap = 10
	// maxPasses is how often a resource is listed from its beginning before the listing counts as incomplete.
	maxPasses = 3
	// maxStalls is how many pages of one pass may bring nothing on: they are empty, or the list has shifted by more than the
	// overlap. Each of them looks a page further back.
	maxStalls = 20
	// maxFailures is how often in a row Clerk may fail at one place of a sweep that goes on each time. It is then given up, so that
	// one object that Clerk can't show doesn't keep all others from being compared, unnoticed.
	maxFailures = 60
	// tailLength is how many ids of a page are remembered to be found again in the next one.
	tailLength = 50
)

// progress is where a sweep goes on. It is stored as JSON with each page.
type progress struct {
	Resource clerksync.Resource `json:"resource"`            // that is being listed, or confirmed
	Offset   int                `json:"offset"`              // objects of it before the next page
	After    string             `json:"after,omitempty"`     // the next page, or the next look-up, begins after this id
	Tail     []string           `json:"tail,omitempty"`      // the last ids of the page before
	Pass     int                `json:"pass,omitempty"`      // passes that fell short
	Stalls   int                `json:"stalls,omitempty"`    // pages of this pass that brought nothing on
	NoCursor bool               `json:"no_cursor,omitempty"` // Clerk doesn't know the cursor of users: offsets it is
	Listed   bool               `json:"listed,omitempty"`    // everything is listed
	Decided  bool               `json:"decided,omitempty"`   // the brake has let it go on
	Failures int                `json:"failures,omitempty"`  // of Clerk's, in a row at this place
	Lifting  bool               `json:"lifting,omitempty"`   // what wasn't seen is confirmed; what has a tombstone and was seen is next
	LookedUp int                `json:"looked_up,omitempty"` // objects
	Doubts   []doubtful         `json:"doubts,omitempty"`    // that are to be settled before the sweep goes on
}

// again is the beginning of another pass over the resource.
func (p progress) again() progress {
	return progress{Resource: p.Resource, Pass: p.Pass + 1, NoCursor: p.NoCursor}
}

// list lists every resource, page by page, from where the sweep stands.
func (r *sweepRun) list(ctx context.Context) error {
	for !r.progress.Listed {
		if err := r.nextPage(ctx, r.progress.Resource); err != nil {
			return err
		}
	}
	return nil
}

// nextPage merges the next page. While it does, the one after it is asked for.
func (r *sweepRun) nextPage(ctx context.Context, resource clerksync.Resource) error {
	request := r.request(r.progress)
	p, err := r.page(ctx, request)
	if errors.Is(err, clerksync.ErrCursorGone) {
		return r.repeat(ctx, resource, true)
	}
	if err != nil {
		return r.withoutList(ctx, resource, err)
	}
	a, page, ids := p.answer, p.page, p.answer.ids
	shared := slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(r.progress.Tail, id) })
	next := r.progress
	switch {
	case request.After != "" && shared: // the cursor was ignored, and this is the first page again
		return r.repeat(ctx, resource, true)
	case request.After == "" && request.Offset > 0 && !shared: // the list has shifted: look further back
		next.Offset, next.Stalls = max(0, r.progress.Offset-r.cfg.PageSize), next.Stalls+1
	case request.After == "" && request.Offset+len(ids) <= r.progress.Offset && page.Total > r.progress.Offset: // nothing new
		next.Stalls++
	default:
		next.Offset, next.Tail = request.Offset+len(ids), ids[max(0, len(ids)-tailLength):]
		if request.After != "" {
			next.Offset += r.progress.Offset
		}
		if len(ids) > 0 {
			next.After = ids[len(ids)-1]
		}
		if r.ends(request.PageRequest, page) {
			return r.finishListing(ctx, a, next, page.Total)
		}
		if err := r.askAhead(ctx, r.request(next)); err != nil {
			return err
		}
	}
	if next.Stalls > maxStalls {
		return incomplete(resource, "page at %d brings nothing on", request.Offset)
	}
	if err := r.merge(ctx, a, next, page.Total); err != nil {
		return err
	}
	if r.fresh == 0 && len(ids) > 0 && next.Pass == 0 { // the same objects again
		r.progress.Stalls++
	}
	return nil
}

// pageRequest asks for one page of a resource.
type pageRequest struct {
	clerksync.PageRequest

	resource clerksync.Resource
}

// request is the request for the next page.
func (r *sweepRun) request(p progress) pageRequest {
	request := clerksync.PageRequest{Limit: r.cfg.PageSize, OrganizationID: r.sweep.OrganizationID}
	if p.Resource == clerksync.ResourceUser && !p.NoCursor {
		request.After = p.After
	} else {
		request.Offset = max(0, p.Offset-min(pageOverlap, r.cfg.PageSize/2))
	}
	return pageRequest{request, p.Resource}
}

// ends reports whether a page is the last one. With a cursor, a page that isn't full is; else Clerk's total says it.
func (r *sweepRun) ends(request clerksync.PageRequest, page clerksync.Page) bool {
	byCursor := r.progress.Resource == clerksync.ResourceUser && !r.progress.NoCursor
	if byCursor || page.Total < 0 {
		return len(page.Objects) < r.cfg.PageSize
	}
	return request.Offset+len(page.Objects) >= page.Total
}

// finishListing merges the last page of a resource. If fewer objects were seen than Clerk says there are, the resource is
// listed once more: something was skipped.
func (r *sweepRun) finishListing(ctx context.Context, a answer, next progress, total int) error {
	if err := r.merge(ctx, a, next, total); err != nil {
		return err
	}
	seen, err := store.CountListed(ctx, r.conn, r.sweep, a.resource)
	if err != nil {
		return err
	}
	if seen < total && r.fresh > 0 && a.resource == clerksync.ResourceUser && !next.NoCursor {
		return nil // some have signed up since: there is a page after this one
	}
	if total < 0 || seen < total {
		return r.repeat(ctx, a.resource, next.NoCursor)
	}
	return r.save(ctx, r.afterListing(a.resource))
}

// afterListing is where the sweep goes on when it is done with a list.
func (r *sweepRun) afterListing(resource clerksync.Resource) progress {
	resources := r.resources()
	if i := slices.Index(resources, resource); i+1 < len(resources) {
		return progress{Resource: resources[i+1]}
	}
	return progress{Listed: true}
}

// repeat begins another pass over a resource, if there may be one more.
func (r *sweepRun) repeat(ctx context.Context, resource clerksync.Resource, noCursor bool) error {
	next := r.progress.again()
	next.NoCursor = noCursor
	if next.Pass >= maxPasses {
		return incomplete(resource, "fewer objects than Clerk counts, %d times", next.Pass)
	}
	return r.save(ctx, next)
}

// askingError tells a failure of Clerk's that passes, after which the sweep goes on, and a refusal, which may be about something that it
// can do without, from a failure that makes what Clerk says useless.
func askingError(ctx context.Context, resource clerksync.Resource, err error) error {
	if err == nil {
		return nil
	}
	refused := refusedBy(resource, err)
	switch {
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), guardOf(err) != nil, errors.Is(err, clerksync.ErrCursorGone), errors.Is(err, clerksync.ErrUnavailable), errors.Is(err, clerksync.ErrRateLimited):
		return fmt.Errorf("ask for %s: %w", resource, err)
	case refused != nil:
		return refused
	default:
		return incomplete(resource, "%v", err)
	}
}
