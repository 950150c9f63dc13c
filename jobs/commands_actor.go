package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// confirmActor brings the actor's own membership, as Clerk shows it, into the mirror and asks whether they still may: Clerk doesn't ask
// who renames an organization, sets a role or removes somebody, and the webhook that took the actor's role away may be late.
func (r *commandRun) confirmActor(ctx context.Context) error {
	if r.hooks.May == nil {
		return nil
	}
	pair := store.Pair{UserID: r.command.Actor, OrganizationID: r.command.OrganizationID}
	found, err := r.cfg.Clerk.Find(ctx, clerksync.ResourceMembership,
		clerksync.Reference{OrganizationID: pair.OrganizationID, UserID: pair.UserID})
	if err != nil {
		return fmt.Errorf("look up actor: %w", err)
	}
	cause := "lookup_" + rand.Text()
	facts, err := read(clerksync.ResourceMembership, found, r.askedAt, cause)
	if err != nil {
		return fmt.Errorf("%w: %w", clerksync.ErrUnavailable, err)
	}
	if len(found) == 0 {
		if facts, err = r.unseen(ctx, pair, cause); err != nil {
			return err
		}
	}
	if err := observe(ctx, r.cfg.Pool, facts, r.askedAt, cause); err != nil {
		return fmt.Errorf("record actor: %w", err)
	}
	return r.hooks.May(ctx, r.cfg.Pool)
}

// unseen returns the fact that a membership which Clerk doesn't show has ended, or none if the mirror has known it for so short a time
// that Clerk's reads may lag behind.
func (r *commandRun) unseen(ctx context.Context, pair store.Pair, cause string) ([]clerksync.Facts, error) {
	m, ended, err := store.MembershipOf(ctx, r.cfg.Pool, pair)
	if ended || errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	young, err := store.ChangedAfter(ctx, r.cfg.Pool, []string{m.MembershipID}, r.askedAt.Add(-defaultSettle))
	if err != nil || len(young) > 0 {
		return nil, err
	}
	ref := clerksync.Reference{ID: m.MembershipID, OrganizationID: pair.OrganizationID, UserID: pair.UserID}
	return []clerksync.Facts{clerksync.Gone(clerksync.ResourceMembership, ref, r.askedAt.UnixMilli(), cause)}, nil
}
