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

// send gives the command to Clerk and returns what it says then, as facts. The command has all its
// ids afterwards. What was cut short and is known to have been carried out isn't asked for again:
// that would undo what others have done since.
func (r *run) send(ctx context.Context) ([]clerksync.Facts, error) {
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

// observed returns what reads an answer of Clerk's: a change that can't be read was made all the
// same.
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

// How far Clerk's clock may be from the database's, when something at Clerk is compared with when a
// command was sent.
const (
	// clockSkew is the tolerance where a false match does no harm: an object this close in time is
	// taken for the command's own.
	clockSkew = time.Minute
	// clockError is the tolerance where a false match would keep a command from being carried out.
	// Clocks that the network sets stay well within it.
	clockError = time.Second
)

// asAsked looks at the name or role that a command that was cut short should have set. It returns
// the object if that is as asked for, and ErrOvertaken if it isn't and the object was changed
// since: carried out now, the command would undo that. On a first try it does nothing. It runs
// before confirmActor, because the first try may have removed the actor's own permission.
func (r *run) asAsked(ctx context.Context) ([]clerksync.Facts, error) {
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
