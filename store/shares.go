package store

import (
	"context"
	"fmt"
	"sync"
)

// Shares keeps one organization from using more than its share of a pool of connections. Without
// it, an organization's writers could hold every connection while its rows are locked. A nil Shares
// admits every caller at once.
type Shares struct {
	each int

	mu   sync.Mutex
	used map[string]*share
}

// share is what one organization uses.
type share struct {
	turns   chan struct{} // one for each use under way
	wanting int           // callers that use it or wait for it
}

// NewShares returns shares of so many uses at once for each organization.
func NewShares(each int) *Shares { return &Shares{each: each, used: map[string]*share{}} }

// Take waits for a turn of an organization, and returns the function that ends the turn. It fails
// if ctx ends first.
func (s *Shares) Take(ctx context.Context, organizationID string) (release func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	own := s.want(organizationID)
	select {
	case own.turns <- struct{}{}:
		return func() {
			<-own.turns
			s.leave(organizationID, own)
		}, nil
	case <-ctx.Done():
		s.leave(organizationID, own)
		return nil, fmt.Errorf("wait for others of the same organization: %w", ctx.Err())
	}
}

func (s *Shares) want(organizationID string) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.used[organizationID]
	if own == nil {
		own = &share{turns: make(chan struct{}, s.each)}
		s.used[organizationID] = own
	}
	own.wanting++
	return own
}

// leave forgets an organization without callers.
func (s *Shares) leave(organizationID string, own *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.wanting--; own.wanting == 0 {
		delete(s.used, organizationID)
	}
}
