package jobs

import (
	"context"
	"encoding/json"
	"sync/atomic"

	clerksync "github.com/callmine/rolecall/sync"
)

// Directory is what Clerk's Backend API says. Its errors wrap those of package sync.
type Directory interface {
	// Instance returns the instance that the secret key belongs to.
	Instance(ctx context.Context) (clerksync.Instance, error)
	// List returns one page of a resource, oldest objects first.
	List(ctx context.Context, r clerksync.Resource, page clerksync.PageRequest) (clerksync.Page, error)
	// Find looks one object up. It returns none only if Clerk says that there is none.
	Find(ctx context.Context, r clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error)
}

// counting counts the calls of a directory.
type counting struct {
	Directory

	calls *atomic.Int64
}

// Instance implements [Directory].
func (c counting) Instance(ctx context.Context) (clerksync.Instance, error) {
	c.calls.Add(1)
	return c.Directory.Instance(ctx)
}

// List implements [Directory].
func (c counting) List(ctx context.Context, r clerksync.Resource, page clerksync.PageRequest) (clerksync.Page, error) {
	c.calls.Add(1)
	return c.Directory.List(ctx, r, page)
}

// Find implements [Directory].
func (c counting) Find(ctx context.Context, r clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error) {
	c.calls.Add(1)
	return c.Directory.Find(ctx, r, ref)
}
