package sweep

import (
	"context"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// pageResult is a page, or the error instead of it.
type pageResult struct {
	request pageRequest
	page    clerksync.Page
	answer  answer
	err     error
}

// page returns a page. If it wasn't asked for ahead, it asks now.
func (l *lister) page(ctx context.Context, request pageRequest) (pageResult, error) {
	if ahead := l.takeAhead(); ahead.request == request {
		return ahead, ahead.err
	}
	askedAt, err := store.Now(ctx, l.conn)
	if err != nil {
		return pageResult{}, err
	}
	p := l.reader.ask(ctx, request, askedAt)
	return p, p.err
}

// askAhead asks for a page in the background, so that Clerk can answer while the page before is
// merged. askedAt is read a moment before the request. So the answer is younger than askedAt says,
// which does no harm.
func (l *lister) askAhead(ctx context.Context, request pageRequest) error {
	askedAt, err := store.Now(ctx, l.conn)
	if err != nil {
		return err
	}
	ctx, l.cancelAhead = context.WithCancel(ctx)
	ahead := make(chan pageResult, 1)
	l.ahead = ahead
	go func() { ahead <- l.reader.ask(ctx, request, askedAt) }()
	return nil
}

// takeAhead waits for the page that was asked for ahead, and returns it. It returns an empty result
// if none was asked for.
func (l *lister) takeAhead() pageResult {
	if l.ahead == nil {
		return pageResult{}
	}
	p := <-l.ahead
	l.cancelAhead()
	l.ahead = nil
	return p
}

// giveUpAhead cancels the request for a page ahead.
func (l *lister) giveUpAhead() {
	if l.ahead != nil {
		l.cancelAhead()
		l.takeAhead()
	}
}
