package command

import (
	"context"
	"encoding/json"
	"errors"

	clerksync "github.com/callmine/rolecall/sync"
)

// invite makes an invitation. If Clerk refuses because an earlier try of the command made the
// invitation, invite returns the facts of that one.
func (r *run) invite(ctx context.Context) ([]clerksync.Facts, error) {
	c := r.command
	raw, err := r.cfg.Clerk.CreateInvitation(ctx, c.OrganizationID, c.Actor, c.Email, c.Role)
	if errors.Is(err, clerksync.ErrInvitationNotUnique) && !r.since.IsZero() {
		raw, err = r.invited(ctx, err)
	}
	facts, err := r.observed(clerksync.ResourceInvitation)(raw, err)
	if err != nil {
		return nil, err
	}
	r.command.Target = facts[0].Subject
	return facts, nil
}

// invited returns the pending invitation that an earlier try made, or else the refusal.
func (r *run) invited(ctx context.Context, refusal error) (json.RawMessage, error) {
	pending, err := r.cfg.Clerk.PendingInvitations(ctx, r.command.OrganizationID, r.command.Email)
	if err != nil {
		return nil, err
	}
	for _, raw := range pending {
		var invitation struct {
			InviterID string `json:"inviter_id"`
			CreatedAt int64  `json:"created_at"`
		}
		if json.Unmarshal(raw, &invitation) == nil && invitation.InviterID == r.command.Actor &&
			invitation.CreatedAt >= r.since.Add(-clockSkew).UnixMilli() {
			return raw, nil
		}
	}
	return nil, refusal
}

// revoke revokes an invitation. An earlier try may have revoked it already.
func (r *run) revoke(ctx context.Context) ([]clerksync.Facts, error) {
	c := r.command
	raw, err := r.cfg.Clerk.RevokeInvitation(ctx, c.OrganizationID, c.Target, c.Actor)
	if errors.Is(err, clerksync.ErrInvitationNotPending) && !r.since.IsZero() {
		raw, err = r.revoked(ctx, err)
	}
	return r.observed(clerksync.ResourceInvitation)(raw, err)
}

// revoked returns the invitation if it is revoked already, or else the refusal.
func (r *run) revoked(ctx context.Context, refusal error) (json.RawMessage, error) {
	found, err := r.cfg.Clerk.Find(ctx, clerksync.ResourceInvitation,
		clerksync.Reference{ID: r.command.Target, OrganizationID: r.command.OrganizationID})
	if err != nil {
		return nil, err
	}
	var invitation struct {
		Status string `json:"status"`
	}
	if len(found) != 1 || json.Unmarshal(found[0], &invitation) != nil || invitation.Status != clerksync.InvitationWasRevoked {
		return nil, refusal
	}
	return found[0], nil
}
