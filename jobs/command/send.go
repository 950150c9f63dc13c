package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// send gives the command to Clerk and returns what it says then, as facts. The command has all its ids afterwards. What was cut
// short and is known to have been carried out isn't asked for again: that would undo what somebody has done since.
func (r *commandRun) send(ctx context.Context) ([]clerksync.Facts, error) {
	if r.made {
		return nil, nil
	}
	if facts, err := r.asAsked(ctx); facts != nil || err != nil {
		return facts, err
	}
	if err := r.confirmActor(ctx); err != nil {
		return nil, err
	}
	err := r.pool.InTurn(ctx, r.workspace(), func() error { return store.SendCommand(ctx, r.cfg.Pool, r.id, r.askedAt) })
	if errors.Is(err, store.ErrOutlived) {
		return nil, clerksync.ErrInProgress
	}
	if err != nil {
		return nil, err
	}
	switch c := r.command; c.Action {
	case clerksync.ActionWorkspaceCreated:
		return r.create(ctx)
	case clerksync.ActionWorkspaceRenamed:
		return r.observed(clerksync.ResourceOrganization)(r.cfg.Clerk.UpdateOrganization(ctx, c.OrganizationID, c.Name))
	case clerksync.ActionMemberRoleChanged:
		return r.observed(clerksync.ResourceMembership)(r.cfg.Clerk.UpdateMembership(ctx, c.OrganizationID, c.Target, c.Role))
	case clerksync.ActionMemberRemoved:
		return r.remove(ctx)
	case clerksync.ActionInvitationSent:
		return r.invite(ctx)
	case clerksync.ActionInvitationRevoked:
		return r.revoke(ctx)
	default:
		return nil, fmt.Errorf("%w: no command makes %q", errors.ErrUnsupported, c.Action)
	}
}

// observed returns what reads an answer of Clerk's: a change that can't be read was made all the same.
func (r *commandRun) observed(resource clerksync.Resource) func(json.RawMessage, error) ([]clerksync.Facts, error) {
	return func(raw json.RawMessage, err error) ([]clerksync.Facts, error) {
		if err != nil {
			return nil, err
		}
		facts, err := clerksync.DecodeObservation(clerksync.Observation{
			Resource: resource, Object: raw, AskedAt: r.askedAt.UnixMilli(), Cause: r.id,
		})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", clerksync.ErrOutcomeUnknown, err)
		}
		return []clerksync.Facts{facts}, nil
	}
}

// How far Clerk's clock may be from the database's, when something at Clerk is compared with when a command was sent.
const (
	// clockSkew is where a doubt does no harm: what is found is taken for the command's own.
	clockSkew = time.Minute
	// clockError is where it keeps a command from being carried out: clocks that the network sets don't differ by more.
	clockError = time.Second
)

// asAsked looks at the name or role that a command that was cut short should have set. It returns the object if that is as asked
// for, and ErrOvertaken if it isn't and the object was changed since: carried out now, the command would undo that. At a first try it
// looks at nothing. It comes before the actor is confirmed, who may have taken the power for it from themselves by it.
func (r *commandRun) asAsked(ctx context.Context) ([]clerksync.Facts, error) {
	var resource clerksync.Resource
	var ref clerksync.Reference
	switch c := r.command; {
	case r.since.IsZero():
		return nil, nil
	case c.Action == clerksync.ActionWorkspaceRenamed:
		resource, ref = clerksync.ResourceOrganization, clerksync.Reference{ID: c.OrganizationID}
	case c.Action == clerksync.ActionMemberRoleChanged:
		resource, ref = clerksync.ResourceMembership, clerksync.Reference{OrganizationID: c.OrganizationID, UserID: c.Target}
	default:
		return nil, nil
	}
	found, err := r.cfg.Clerk.Find(ctx, resource, ref)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	var object struct {
		Name      string `json:"name"`
		Role      string `json:"role"`
		UpdatedAt int64  `json:"updated_at"`
	}
	if err := json.Unmarshal(found[0], &object); err != nil {
		return nil, fmt.Errorf("read %s: %w", resource, err)
	}
	asked := object.Name == r.command.Name
	if resource == clerksync.ResourceMembership {
		asked = clerksync.CanonicalRole(object.Role) == r.command.Role
	}
	switch {
	case asked:
		return r.observed(resource)(found[0], nil)
	case object.UpdatedAt > r.since.Add(-clockError).UnixMilli():
		return nil, clerksync.ErrOvertaken
	default:
		return nil, nil
	}
}

const (
	// seatTries is how often the membership of a new organization's creator is looked up: it is there at once, or a moment later.
	seatTries = 3
	// seatPause is the time between.
	seatPause = 200 * time.Millisecond
)

// create makes an organization. Clerk's answer doesn't tell that its creator is a member, so the membership is looked up. If that
// fails, the organization is there all the same: its creator is let in by the look-up that every stranger gets.
func (r *commandRun) create(ctx context.Context) ([]clerksync.Facts, error) {
	raw, err := r.created(ctx)
	if err == nil && raw == nil {
		raw, err = r.cfg.Clerk.CreateOrganization(ctx, r.command.Name, r.command.Actor, r.command.Slug)
	}
	facts, err := r.observed(clerksync.ResourceOrganization)(raw, err)
	if err != nil {
		return nil, err
	}
	r.command.OrganizationID, r.command.Target = facts[0].Subject, facts[0].Subject
	seat, err := r.seat(ctx)
	if err != nil || len(seat) == 0 {
		r.cfg.Logger.WarnContext(ctx, "Clerk doesn't show the creator's membership yet", "command_id", r.id, "error", err)
	}
	return append(facts, seat...), nil
}

// seat looks up the membership of the organization's creator.
func (r *commandRun) seat(ctx context.Context) ([]clerksync.Facts, error) {
	for try := 1; ; try++ {
		found, err := r.cfg.Clerk.Find(ctx, clerksync.ResourceMembership,
			clerksync.Reference{OrganizationID: r.command.OrganizationID, UserID: r.command.Actor})
		if err == nil && len(found) > 0 {
			return r.observed(clerksync.ResourceMembership)(found[0], nil)
		}
		if try == seatTries {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(seatPause):
		}
	}
}

// created looks for the organization that a command made before it was cut short: one of the name, that the user created since, and no
// other command made. It returns nil if there is none, and at a first try.
func (r *commandRun) created(ctx context.Context) (json.RawMessage, error) {
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

// remove ends a membership. The mirror gets a tombstone for the one that Clerk ended.
func (r *commandRun) remove(ctx context.Context) ([]clerksync.Facts, error) {
	if again, err := r.rejoined(ctx); again || err != nil {
		return nil, err
	}
	pair := store.Pair{UserID: r.command.Target, OrganizationID: r.command.OrganizationID}
	known, ended, knownErr := store.MembershipOf(ctx, r.cfg.Pool, pair) // before: a membership that comes meanwhile isn't meant
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

// rejoined reports whether the user has become a member again since the removal was cut short: that membership isn't meant. In doubt,
// within the difference of the clocks, it is.
func (r *commandRun) rejoined(ctx context.Context) (bool, error) {
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

func (r *commandRun) gone(membershipID string) []clerksync.Facts {
	return []clerksync.Facts{clerksync.Gone(clerksync.ResourceMembership, clerksync.Reference{
		ID: membershipID, OrganizationID: r.command.OrganizationID, UserID: r.command.Target,
	}, r.askedAt.UnixMilli(), r.id)}
}

// removed is a removal that was cut short, after which Clerk knows no such membership. That is what was asked for if there was one.
func (r *commandRun) removed(known store.Member, ended bool, knownErr, refusal error) ([]clerksync.Facts, error) {
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

// invite makes an invitation. One that this command made before it was cut short is in its own way.
func (r *commandRun) invite(ctx context.Context) ([]clerksync.Facts, error) {
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

func (r *commandRun) invited(ctx context.Context, refusal error) (json.RawMessage, error) {
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

// revoke takes an invitation back. If that was cut short, the invitation may be revoked already.
func (r *commandRun) revoke(ctx context.Context) ([]clerksync.Facts, error) {
	c := r.command
	raw, err := r.cfg.Clerk.RevokeInvitation(ctx, c.OrganizationID, c.Target, c.Actor)
	if errors.Is(err, clerksync.ErrInvitationNotPending) && !r.since.IsZero() {
		raw, err = r.revoked(ctx, err)
	}
	return r.observed(clerksync.ResourceInvitation)(raw, err)
}

func (r *commandRun) revoked(ctx context.Context, refusal error) (json.RawMessage, error) {
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
