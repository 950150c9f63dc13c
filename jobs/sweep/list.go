package sweep

import (
	"context"
	"errors"
	"slices"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// maxPageSize is the most that Clerk lists in one answer.
	maxPageSize = 500
	// pageOverlap is how many objects of the page before are asked for again, at most half a page.
	// A list shifts when an object before the page is deleted meanwhile. A page that shows an
	// object of the page before has certainly skipped none.
	pageOverlap = 10
	// maxPasses is how often a kind is listed from its beginning before the listing counts as
	// incomplete.
	maxPasses = 3
	// maxStalls is how many pages of one pass may make no progress. Such a page shows nothing new,
	// or the list has shifted by more than the overlap. After such a shift, the sweep looks a page
	// further back.
	maxStalls = 20
	// maxFailures is how often in a row Clerk may fail at one place of a sweep. The sweep is then
	// given up. Otherwise one object that Clerk can't show would keep all others from being
	// compared, unnoticed.
	maxFailures = 60
	// tailLength is how many ids of a page are remembered, to recognize them in the next one.
	tailLength = 50
)

// lister lists every kind, page by page, and passes each page on to the merger.
type lister struct {
	*state

	reader  *reader
	merger  *merger
	settler *settler

	fresh       int             // objects of the last page that this sweep hadn't seen before
	ahead       chan pageResult // the page after the one that is being merged; nil if none is asked for
	cancelAhead context.CancelFunc
}

// list lists every kind, page by page, from where the sweep stands.
func (l *lister) list(ctx context.Context) error {
	for !l.progress.Listed {
		if err := l.nextPage(ctx, l.progress.Resource); err != nil {
			return err
		}
	}
	return nil
}

// nextPage merges the next page. While it does, the one after it is asked for.
func (l *lister) nextPage(ctx context.Context, resource clerksync.Resource) error {
	request := l.request(l.progress)
	p, err := l.page(ctx, request)
	if errors.Is(err, clerksync.ErrCursorGone) {
		return l.repeat(ctx, resource, true)
	}
	if err != nil {
		return l.withoutList(ctx, resource, err)
	}
	a, page, ids := p.answer, p.page, p.answer.ids
	shared := slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(l.progress.Tail, id) })
	next := l.progress
	switch {
	case request.After != "" && shared: // the cursor was ignored, and this is the first page again
		return l.repeat(ctx, resource, true)
	case request.After == "" && request.Offset > 0 && !shared: // the list has shifted: look further back
		next.Offset = max(0, l.progress.Offset-l.cfg.PageSize)
		next.Stalls++
	case request.After == "" && request.Offset+len(ids) <= l.progress.Offset && page.Total > l.progress.Offset: // nothing new
		next.Stalls++
	default:
		next.Offset = request.Offset + len(ids)
		next.Tail = ids[max(0, len(ids)-tailLength):]
		if request.After != "" {
			next.Offset += l.progress.Offset
		}
		if len(ids) > 0 {
			next.After = ids[len(ids)-1]
		}
		if l.ends(request.PageRequest, page) {
			return l.finishListing(ctx, a, next, page.Total)
		}
		if err := l.askAhead(ctx, l.request(next)); err != nil {
			return err
		}
	}
	if next.Stalls > maxStalls {
		return incomplete(resource, "page at %d makes no progress", request.Offset)
	}
	if err := l.merge(ctx, a, next, page.Total); err != nil {
		return err
	}
	if l.fresh == 0 && len(ids) > 0 && next.Pass == 0 { // the same objects again
		l.progress.Stalls++
	}
	return nil
}

// merge merges a page, marks its objects as listed and records the sweep's progress, in one
// transaction.
func (l *lister) merge(ctx context.Context, a answer, next progress, total int) error {
	report := l.report.clone()
	report.Listed += len(a.ids)
	a.listed = true
	next.Total = max(0, total)
	fresh, err := l.merger.commitPage(ctx, a, next, report)
	if err != nil {
		return err
	}
	l.fresh = fresh
	l.reportProgress(Progress{Resource: a.resource, Listed: next.Offset, Total: total})
	return l.settler.settle(ctx)
}

// pageRequest asks for one page of a kind.
type pageRequest struct {
	clerksync.PageRequest

	resource clerksync.Resource
}

// request is the request for the next page.
func (l *lister) request(p progress) pageRequest {
	request := clerksync.PageRequest{Limit: l.cfg.PageSize, OrganizationID: l.sweep.OrganizationID}
	if p.Resource == clerksync.ResourceUser && !p.NoCursor {
		request.After = p.After
	} else {
		request.Offset = max(0, p.Offset-min(pageOverlap, l.cfg.PageSize/2))
	}
	return pageRequest{request, p.Resource}
}

// ends reports whether a page is the last one. With a cursor, the first page that isn't full is the
// last one. Otherwise Clerk's total decides.
func (l *lister) ends(request clerksync.PageRequest, page clerksync.Page) bool {
	byCursor := l.progress.Resource == clerksync.ResourceUser && !l.progress.NoCursor
	if byCursor || page.Total < 0 {
		return len(page.Objects) < l.cfg.PageSize
	}
	return request.Offset+len(page.Objects) >= page.Total
}

// finishListing merges the last page of a kind. If fewer objects were listed than Clerk counts, the
// kind is listed once more, because an object was skipped.
func (l *lister) finishListing(ctx context.Context, a answer, next progress, total int) error {
	if err := l.merge(ctx, a, next, total); err != nil {
		return err
	}
	listed, err := l.countListed(ctx)
	if err != nil {
		return err
	}
	if listed < total && l.fresh > 0 && a.resource == clerksync.ResourceUser && !next.NoCursor {
		return nil // users have signed up since: there is a page after this one
	}
	if total < 0 || listed < total {
		return l.repeat(ctx, a.resource, next.NoCursor)
	}
	return l.save(ctx, l.afterListing(a.resource))
}

// countListed returns how many objects of the kind the sweep has listed.
func (l *lister) countListed(ctx context.Context) (int, error) {
	if l.progress.Seen != nil {
		return *l.progress.Seen, nil
	}
	return store.CountListed(ctx, l.conn, l.sweep, l.progress.Resource)
}

// afterListing returns where the sweep continues after a list.
func (l *lister) afterListing(resource clerksync.Resource) progress {
	resources := l.resources()
	if i := slices.Index(resources, resource); i+1 < len(resources) {
		return listing(resources[i+1])
	}
	return progress{Listed: true}
}

// repeat begins another pass over a kind, unless it had maxPasses already.
func (l *lister) repeat(ctx context.Context, resource clerksync.Resource, noCursor bool) error {
	next := l.progress.again()
	next.NoCursor = noCursor
	if next.Pass >= maxPasses {
		return incomplete(resource, "fewer objects than Clerk counts, %d times", next.Pass)
	}
	return l.save(ctx, next)
}

// withoutList continues with the next list if Clerk refuses this one and the sweep doesn't need it.
// The kind isn't compared.
func (l *lister) withoutList(ctx context.Context, resource clerksync.Resource, err error) error {
	refused, ok := errors.AsType[*refusedError](err)
	if !ok || needed(resource) {
		return err
	}
	l.report.Refused = append(l.report.Refused, refused.Refused)
	l.nested = l.unlisted(clerksync.ResourcePermission)
	l.warnRefused(ctx, refused.Refused)
	return l.save(ctx, l.afterListing(resource))
}
