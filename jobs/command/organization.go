package command

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// creatorTries is how often the membership of a new organization's creator is looked up: Clerk
	// shows it at once, or a moment later.
	creatorTries = 3
	// creatorPause is the time between two look-ups.
	creatorPause = 200 * time.Millisecond
)

// create makes an organization. Clerk's answer leaves out the creator's membership, so create looks
// that up. If the look-up fails, the command succeeds all the same. The creator is then admitted by
// the look-up that every stranger gets.
func (r *run) create(ctx context.Context) ([]clerksync.Facts, error) {
	raw, err := r.created(ctx)
	if err == nil && raw == nil {
		raw, err = r.cfg.Clerk.CreateOrganization(ctx, r.command.Name, r.command.Actor, r.command.Slug)
	}
	facts, err := r.observed(clerksync.ResourceOrganization)(raw, err)
	if err != nil {
		return nil, err
	}
	r.command.OrganizationID = facts[0].Subject
	r.command.Target = facts[0].Subject
	membership, err := r.creatorMembership(ctx)
	if err != nil || len(membership) == 0 {
		r.cfg.Logger.WarnContext(ctx, "Clerk doesn't show the creator's membership yet", "command_id", r.id, "error", err)
	}
	return append(facts, membership...), nil
}

// creatorMembership looks up the membership of the organization's creator.
func (r *run) creatorMembership(ctx context.Context) ([]clerksync.Facts, error) {
	for try := 1; ; try++ {
		found, err := r.cfg.Clerk.Find(ctx, clerksync.ResourceMembership,
			clerksync.Reference{OrganizationID: r.command.OrganizationID, UserID: r.command.Actor})
		if err == nil && len(found) > 0 {
			return r.observed(clerksync.ResourceMembership)(found[0], nil)
		}
		if try == creatorTries {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(creatorPause):
		}
	}
}

// created looks for the organization that an earlier try made. It takes one of the command's name,
// created by the actor since that try, and made by no other command. It returns nil if there is
// none, and on a first try.
func (r *run) created(ctx context.Context) (json.RawMessage, error) {
	if r.since.IsZero() {
		return nil, nil
	}
	memberships, err := r.cfg.Clerk.UserMemberships(ctx, r.command.Actor)
	if err != nil {
		return nil, err
	}
	for _, raw := range memberships {
		var membership struct {
			Organization struct {
				ID        string `json:"id"`
				Name      string `json:"name"`
				CreatedAt int64  `json:"created_at"`
			} `json:"organization"`
		}
		if err := json.Unmarshal(raw, &membership); err != nil {
			return nil, fmt.Errorf("read membership: %w", err)
		}
		o := membership.Organization
		if o.Name != r.command.Name || o.CreatedAt < r.since.Add(-clockSkew).UnixMilli() {
			continue
		}
		others, err := store.MadeByAnother(ctx, r.cfg.Pool, r.id, o.ID)
		if err != nil {
			return nil, err
		}
		if others {
			continue
		}
		found, err := r.cfg.Clerk.Find(ctx, clerksync.ResourceOrganization, clerksync.Reference{ID: o.ID})
		if err != nil {
			return nil, err
		}
		var organization struct {
			CreatedBy string `json:"created_by"`
		}
		if len(found) == 1 && json.Unmarshal(found[0], &organization) == nil && organization.CreatedBy == r.command.Actor {
			return found[0], nil
		}
	}
	return nil, nil
}
