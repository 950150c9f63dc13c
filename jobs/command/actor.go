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

// confirmActor merges the actor's own membership, as Clerk shows it, and then asks the mirror
// whether the actor may still give the command. Clerk doesn't check the actor of a rename, a role
// change or a removal, and the webhook that ended the actor's permission may be late.
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
		found, facts, err = r.notShown(ctx, pair, cause)
	}
	if err == nil && len(found) > 0 {
		facts, err = r.shown(ctx, pair, found, cause)
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

// shown reads a membership that Clerk shows. It looks the user up, too, unless the answer says that
// the account is neither banned nor deprovisioned. Some answers leave that out, and so do some
// nested copies of users in the mirror.
func (r *run) shown(ctx context.Context, pair store.Pair, found []json.RawMessage, cause string) ([]clerksync.Facts, error) {
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

// notShown decides whether the actor's membership has ended, now that Clerk doesn't show it. A
// membership goes on if it is so young that Clerk's reads may not show it yet. For any other, the
// user's own list is read a moment later, because one empty answer proves no end. It returns the
// membership that the list shows, or the fact that the membership has ended.
func (r *run) notShown(ctx context.Context, pair store.Pair, cause string) ([]json.RawMessage, []clerksync.Facts, error) {
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
		var member struct {
			Organization struct {
				ID string `json:"id"`
			} `json:"organization"`
		}
		if err := json.Unmarshal(raw, &member); err != nil {
			return nil, nil, fmt.Errorf("read membership of actor: %w", err)
		}
		if member.Organization.ID == pair.OrganizationID {
			return []json.RawMessage{raw}, nil, nil
		}
	}
	ref := clerksync.Reference{ID: m.MembershipID, OrganizationID: pair.OrganizationID, UserID: pair.UserID}
	return nil, []clerksync.Facts{clerksync.Gone(clerksync.ResourceMembership, ref, r.askedAt.UnixMilli(), cause)}, nil
}
