package sweep

import (
	"context"
	"encoding/json"
	"sync/atomic"

	clerksync "github.com/callmine/rolecall/sync"
)

// Clerk is the part of Clerk's Backend API that a sweep needs. Its errors wrap those of package
// sync.
type Clerk interface {
	// Instance returns the instance that the secret key belongs to.
	Instance(ctx context.Context) (clerksync.Instance, error)
	// List returns one page of a kind, oldest objects first.
	List(ctx context.Context, r clerksync.Resource, page clerksync.PageRequest) (clerksync.Page, error)
	// Find looks one object up. It returns none only if Clerk says that there is none.
	Find(ctx context.Context, r clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error)
}

// counting counts the calls to Clerk.
type counting struct {
	Clerk

	calls *atomic.Int64
}

// Instance implements [Clerk].
func (c counting) Instance(ctx context.Context) (clerksync.Instance, error) {
	c.calls.Add(1)
	return c.Clerk.Instance(ctx)
}

// List implements [Clerk].
func (c counting) List(ctx context.Context, r clerksync.Resource, page clerksync.PageRequest) (clerksync.Page, error) {
	c.calls.Add(1)
	return c.Clerk.List(ctx, r, page)
}

// Find implements [Clerk].
func (c counting) Find(ctx context.Context, r clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error) {
	c.calls.Add(1)
	return c.Clerk.Find(ctx, r, ref)
}
