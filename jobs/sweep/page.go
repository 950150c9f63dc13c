package sweep

import (
	"context"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// pageResult is a page, or why there is none.
type pageResult struct {
	request pageRequest
	page    clerksync.Page
	answer  answer
	err     error
}

// page returns the page that is asked for: the one that was asked for ahead, or else it asks now.
func (r *sweepRun) page(ctx context.Context, request pageRequest) (pageResult, error) {
	if ahead := r.stopAhead(false); ahead.request == request {
		return ahead, ahead.err
	}
	askedAt, err := store.Now(ctx, r.conn)
	if err != nil {
		return pageResult{}, err
	}
	p := r.ask(ctx, request, askedAt)
	return p, p.err
}

// askAhead asks for a page in the background: while one page is merged, Clerk can answer the next. The time of asking is the
// database's from before, so the answer is younger than it says, which does no harm.
func (r *sweepRun) askAhead(ctx context.Context, request pageRequest) error {
	askedAt, err := store.Now(ctx, r.conn)
	if err != nil {
		return err
	}
	ctx, r.cancelAhead = context.WithCancel(ctx)
	ahead := make(chan pageResult, 1)
	r.ahead = ahead
	go func() { ahead <- r.ask(ctx, request, askedAt) }()
	return nil
}

// stopAhead returns the page that was asked for ahead, if there is one, or gives it up.
func (r *sweepRun) stopAhead(giveUp bool) pageResult {
	if r.ahead == nil {
		return pageResult{}
	}
	if giveUp {
		r.cancelAhead()
	}
	p := <-r.ahead
	r.cancelAhead()
	r.ahead = nil
	return p
}

// ask asks Clerk for a page and reads it.
func (r *sweepRun) ask(ctx context.Context, request pageRequest, askedAt time.Time) pageResult {
	page, err := r.clerk.List(ctx, request.resource, request.PageRequest)
	if err := askingError(ctx, request.resource, err); err != nil {
		return pageResult{request: request, err: err}
	}
	if len(page.Objects) > request.Limit {
		err := incomplete(request.resource, "%d objects where %d were asked for", len(page.Objects), request.Limit)
		return pageResult{request: request, err: err}
	}
	a, err := r.read(ctx, request.resource, askedAt, page.Objects)
	return pageResult{request: request, page: page, answer: a, err: err}
}
