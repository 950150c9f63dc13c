package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// answer is what Clerk showed of one kind at one time.
type answer struct {
	resource   clerksync.Resource
	askedAt    time.Time // by the database's clock, before the request
	facts      []clerksync.Facts
	ids        []string // of all objects, in Clerk's order
	listed     bool     // they were listed, not looked up
	unreadable int      // objects that can't be read
	final      bool     // it counts whatever the versions say, because a look-up has confirmed it
	settling   bool     // it settles a doubt, and raises none

	gone map[clerksync.Resource]int // how many objects end with the one of the last facts, which is gone; nil if it isn't gone
}

// reader asks Clerk, and decodes the answers. It may ask for a page while the page before is
// merged. So ask doesn't change what the parts of a sweep share. Nor does it read what a merge
// writes, which is the progress and the report.
type reader struct{ *state }

// find looks an object up.
func (r *reader) find(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference) (answer, error) {
	if err := r.gaveUp(resource); err != nil {
		return answer{}, err
	}
	askedAt, err := store.Now(ctx, r.conn)
	if err != nil {
		return answer{}, err
	}
	objects, err := r.clerk.Find(ctx, resource, ref)
	if err := askingError(ctx, resource, err); err != nil {
		return answer{}, err
	}
	return r.read(ctx, resource, askedAt, objects)
}

// ask asks Clerk for a page and reads it.
func (r *reader) ask(ctx context.Context, request pageRequest, askedAt time.Time) pageResult {
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

// read decodes objects from Clerk. An object that can't be read is logged and counted. It was
// listed all the same, so it isn't removed. An object without a readable id makes the whole answer
// useless.
func (r *reader) read(ctx context.Context, resource clerksync.Resource, askedAt time.Time, objects []json.RawMessage) (answer, error) {
	a := answer{resource: resource, askedAt: askedAt, ids: make([]string, len(objects)), facts: make([]clerksync.Facts, 0, len(objects))}
	for i, raw := range objects {
		f, err := clerksync.DecodeObservation(clerksync.Observation{
			Resource: resource, Object: raw, AskedAt: askedAt.UnixMilli(), Cause: clerksync.SweepCause(r.sweep.ID),
		})
		if err == nil {
			if resource != clerksync.ResourceRole || !r.nested {
				f = f.Own() // nested objects were listed before
			}
			a.ids[i] = f.Subject
			a.facts = append(a.facts, f)
			continue
		}
		id, idErr := clerksync.ObservedID(raw)
		if idErr != nil {
			return a, incomplete(resource, "%v", idErr)
		}
		r.cfg.Logger.ErrorContext(ctx, "object from Clerk can't be read", "resource", resource, "object_id", id, "error", err)
		a.ids[i] = id
		a.unreadable++
	}
	return a, nil
}

// gaveUp returns a kind's refusal once maxRefusedLookUps of its look-ups were refused: no more are
// made.
func (r *reader) gaveUp(resource clerksync.Resource) error {
	for _, f := range r.report.Refused {
		if f.Resource == resource && f.LookUps >= maxRefusedLookUps {
			return &refusedError{Refused: f}
		}
	}
	return nil
}

// askingError classifies a failure of Clerk's. After a failure that passes, the sweep can continue.
// A refusal may be about objects that the sweep can do without. Any other failure makes the listing
// incomplete.
func askingError(ctx context.Context, resource clerksync.Resource, err error) error {
	if err == nil {
		return nil
	}
	refused := refusedBy(resource, err)
	switch {
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), guardOf(err) != nil,
		errors.Is(err, clerksync.ErrCursorGone), errors.Is(err, clerksync.ErrUnavailable), errors.Is(err, clerksync.ErrRateLimited):
		return fmt.Errorf("ask for %s: %w", resource, err)
	case refused != nil:
		return refused
	default:
		return incomplete(resource, "%v", err)
	}
}
