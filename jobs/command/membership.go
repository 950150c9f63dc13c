package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// remove ends a membership. The mirror gets a tombstone for the one that Clerk ended.
func (r *run) remove(ctx context.Context) ([]clerksync.Facts, error) {
	if again, err := r.rejoined(ctx); again || err != nil {
		return nil, err
	}
	pair := store.Pair{UserID: r.command.Target, OrganizationID: r.command.OrganizationID}
	known, ended, knownErr := store.MembershipOf(ctx, r.cfg.Pool, pair) // read first, so that a membership that begins meanwhile stays
	raw, err := r.cfg.Clerk.DeleteMembership(ctx, r.command.OrganizationID, r.command.Target)
	if errors.Is(err, clerksync.ErrGone) && !r.since.IsZero() {
		return r.removed(known, ended, knownErr, err)
	}
	if err != nil {
		return nil, err
	}
	id, err := clerksync.ObservedID(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", clerksync.ErrOutcomeUnknown, err)
	}
	return r.gone(id), nil
}

// rejoined reports whether the user became a member again after the first try of the removal. Such
// a membership has to stay. One that began within clockSkew after the first try counts as the one
// to remove.
func (r *run) rejoined(ctx context.Context) (bool, error) {
	if r.since.IsZero() {
		return false, nil
	}
	found, err := r.cfg.Clerk.Find(ctx, clerksync.ResourceMembership,
		clerksync.Reference{OrganizationID: r.command.OrganizationID, UserID: r.command.Target})
	if err != nil {
		return false, err
	}
	for _, raw := range found {
		var membership struct {
			CreatedAt int64 `json:"created_at"`
		}
		if err := json.Unmarshal(raw, &membership); err != nil {
			return false, fmt.Errorf("read membership: %w", err)
		}
		if membership.CreatedAt > r.since.Add(clockSkew).UnixMilli() {
			return true, nil
		}
	}
	return false, nil
}

// gone is the fact that the target's membership has ended.
func (r *run) gone(membershipID string) []clerksync.Facts {
	return []clerksync.Facts{clerksync.Gone(clerksync.ResourceMembership, clerksync.Reference{
		ID: membershipID, OrganizationID: r.command.OrganizationID, UserID: r.command.Target,
	}, r.askedAt.UnixMilli(), r.id)}
}

// removed decides whether an interrupted removal has succeeded, if Clerk has no such membership
// now. It has succeeded if the mirror knew one. Otherwise Clerk's refusal counts.
func (r *run) removed(known store.Member, ended bool, knownErr, refusal error) ([]clerksync.Facts, error) {
	switch {
	case errors.Is(knownErr, store.ErrNotFound):
		return nil, refusal
	case knownErr != nil:
		return nil, knownErr
	case ended:
		return nil, nil
	default:
		return r.gone(known.MembershipID), nil
	}
}
