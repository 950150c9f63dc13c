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

// send gives the command to Clerk and returns Clerk's answer as facts. Afterwards the command has
// all its ids. A command that is known to have taken effect before its interruption isn't sent
// again: that would undo later changes.
func (r *run) send(ctx context.Context) ([]clerksync.Facts, error) {
	if r.alreadyApplied {
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
	c := r.command
	switch c.Action {
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

// observed returns a function that decodes an answer of Clerk's. If it can't be decoded, the
// outcome is unknown: Clerk has made the change.
func (r *run) observed(resource clerksync.Resource) func(json.RawMessage, error) ([]clerksync.Facts, error) {
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

// How far Clerk's clock may be from the database's, where a time at Clerk is compared with the time
// at which a command was sent.
const (
	// clockSkew is the tolerance where a false match does no harm: an object this close in time is
	// taken for the command's own.
	clockSkew = time.Minute
	// clockError is the tolerance where a false match would keep a command from being carried out.
	// Clocks that NTP sets stay well within it.
	clockError = time.Second
)

// asAsked looks at the name or role that an interrupted command should have set. If the object has
// that value, asAsked returns the object. If it has another value and has changed since, asAsked
// returns ErrOvertaken: the command would now undo that change. On a first try it does nothing. It
// runs before confirmActor, because the first try may have removed the actor's own permission.
func (r *run) asAsked(ctx context.Context) ([]clerksync.Facts, error) {
	var resource clerksync.Resource
	var ref clerksync.Reference
	if r.since.IsZero() {
		return nil, nil
	}
	switch r.command.Action {
	case clerksync.ActionWorkspaceRenamed:
		resource = clerksync.ResourceOrganization
		ref = clerksync.Reference{ID: r.command.OrganizationID}
	case clerksync.ActionMemberRoleChanged:
		resource = clerksync.ResourceMembership
		ref = clerksync.Reference{OrganizationID: r.command.OrganizationID, UserID: r.command.Target}
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
