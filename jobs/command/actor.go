package command

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// confirmActor brings the actor's own membership, as Clerk shows it, into the mirror and asks
// whether they still may: Clerk doesn't ask who renames an organization, sets a role or removes
// a member, and the webhook that took the actor's power away may be late.
func (r *run) confirmActor(ctx context.Context) error {
	if r.may == nil {
		return nil
	}
	pair := store.Pair{UserID: r.command.Actor, OrganizationID: r.command.OrganizationID}
	found, err := r.cfg.Clerk.Find(ctx, clerksync.ResourceMembership,
		clerksync.Reference{OrganizationID: pair.OrganizationID, UserID: pair.UserID})
	if err != nil {
		return fmt.Errorf("look up actor: %w", err)
	}
	cause := clerksync.LookupCause(rand.Text())
	var facts []clerksync.Facts
	if len(found) == 0 {
		found, facts, err = r.unseen(ctx, pair, cause)
	}
	if err == nil && len(found) > 0 {
		facts, err = r.seen(ctx, pair, found, cause)
	}
	if err != nil {
		return err
	}
	observed := merge.Observed{Facts: facts, AskedAt: r.askedAt, Cause: cause}
	if err := merge.Lookup(ctx, r.pool, r.workspace(), observed); err != nil {
		return fmt.Errorf("record actor: %w", err)
	}
	return r.may(ctx, r.cfg.Pool)
}

// seen reads a membership that Clerk shows, and looks the user up unless it says that the account
// may act: not every answer says so, and as a nested copy it doesn't count.
func (r *run) seen(ctx context.Context, pair store.Pair, found []json.RawMessage, cause string) ([]clerksync.Facts, error) {
	facts, err := merge.Read(clerksync.ResourceMembership, found, r.askedAt, cause)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", clerksync.ErrUnavailable, err)
	}
	var membership struct {
		User struct {
			Banned        *bool `json:"banned"`
			Deprovisioned *bool `json:"deprovisioned"`
		} `json:"public_user_data"`
	}
	isFalse := func(b *bool) bool { return b != nil && !*b }
	if json.Unmarshal(found[0], &membership) == nil && isFalse(membership.User.Banned) && isFalse(membership.User.Deprovisioned) {
		return facts, nil
	}
	user, err := r.cfg.Clerk.Find(ctx, clerksync.ResourceUser, clerksync.Reference{ID: pair.UserID})
	if err != nil {
		return nil, fmt.Errorf("look up actor: %w", err)
	}
	account, err := merge.Read(clerksync.ResourceUser, user, r.askedAt, cause)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", clerksync.ErrUnavailable, err)
	}
	return append(account, facts...), nil
}

// unseen decides what it means that Clerk doesn't show the actor's membership. A membership so
// young that Clerk's reads may lag behind it counts. Of any other the user's own memberships are
// asked for, a moment later: one empty answer ends nobody's membership. It returns what they show,
// or else the fact that the membership has ended.
func (r *run) unseen(ctx context.Context, pair store.Pair, cause string) ([]json.RawMessage, []clerksync.Facts, error) {
	m, ended, err := store.MembershipOf(ctx, r.cfg.Pool, pair)
	switch {
	case ended || errors.Is(err, store.ErrNotFound):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case m.JoinedAt.Sub(r.askedAt).Abs() < merge.DefaultSettle: // one from the future isn't young for ever
		return nil, nil, nil
	}
	select {
	case <-time.After(r.cfg.LookAgainAfter):
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("look up actor again: %w", ctx.Err())
	}
	all, err := r.cfg.Clerk.UserMemberships(ctx, pair.UserID)
	if err != nil {
		return nil, nil, fmt.Errorf("look up actor again: %w", err)
	}
	for _, raw := range all {
		var shown struct {
			Organization struct {
				ID string `json:"id"`
			} `json:"organization"`
		}
		if err := json.Unmarshal(raw, &shown); err != nil {
			return nil, nil, fmt.Errorf("read membership of actor: %w", err)
		}
		if shown.Organization.ID == pair.OrganizationID {
			return []json.RawMessage{raw}, nil, nil
		}
	}
	ref := clerksync.Reference{ID: m.MembershipID, OrganizationID: pair.OrganizationID, UserID: pair.UserID}
	return nil, []clerksync.Facts{clerksync.Gone(clerksync.ResourceMembership, ref, r.askedAt.UnixMilli(), cause)}, nil
}
