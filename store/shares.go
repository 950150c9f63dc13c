package store

import (
	"context"
	"errors"
	"sync"
)

// ErrBusy says that the caller's turn didn't come before its time was over. The database may be
// well.
var ErrBusy = errors.New("others of the same organization or user still use their share of the database")

// Shares keeps one organization, or one user, from using more than its share of a pool of
// connections. Without it, an organization's writers could hold every connection while its rows are
// locked. A nil Shares admits every caller at once.
type Shares struct {
	each int

	mu   sync.Mutex
	used map[string]*share
}

// share is what one of them uses.
type share struct {
	turns   chan struct{} // one for each use under way
	wanting int           // callers that use it or wait for it
}

// NewShares returns shares of so many uses at once for each id.
func NewShares(each int) *Shares { return &Shares{each: each, used: map[string]*share{}} }

// Take waits for a turn of an organization or a user, and returns the function that ends the turn.
// It fails if ctx ends first.
func (s *Shares) Take(ctx context.Context, id string) (release func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	own := s.want(id)
	select {
	case own.turns <- struct{}{}:
		return func() {
			<-own.turns
			s.leave(id, own)
		}, nil
	case <-ctx.Done():
		s.leave(id, own)
		return nil, errors.Join(ErrBusy, ctx.Err())
	}
}

func (s *Shares) want(id string) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.used[id]
	if own == nil {
		own = &share{turns: make(chan struct{}, s.each)}
		s.used[id] = own
	}
	own.wanting++
	return own
}

// leave forgets an id without callers.
func (s *Shares) leave(id string, own *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.wanting--; own.wanting == 0 {
		delete(s.used, id)
	}
}
