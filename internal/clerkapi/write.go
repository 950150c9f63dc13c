package clerkapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	clerksync "github.com/callmine/rolecall/sync"
)

// The methods below change something, each with one interactive request (see [Client.Begin]). They
// return the object as Clerk sends it: as it is after the change, or, for a membership that ended,
// as it was before. An error that wraps clerksync.ErrOutcomeUnknown says that the change may have
// been made; after any other error, nothing has changed. Refusals wrap the errors of package sync.

// CreateOrganization makes an organization, whose first admin is the user createdBy. An empty slug
// stands for no slug.
func (c *Client) CreateOrganization(ctx context.Context, name, createdBy, slug string) (json.RawMessage, error) {
	fields := body{"name": name, "created_by": createdBy}
	if slug != "" {
		fields["slug"] = slug
	}
	return c.write(ctx, "create organization", http.MethodPost, at("/organizations"), fields, hasID(""))
}

// UpdateOrganization gives an organization another name.
func (c *Client) UpdateOrganization(ctx context.Context, id, name string) (json.RawMessage, error) {
	return c.write(ctx, "update organization", http.MethodPatch, at("/organizations/{organization_id}", id),
		body{"name": name}, hasID(id), id)
}

const membershipRoute = "/organizations/{organization_id}/memberships/{user_id}"

// UpdateMembership gives a member another role.
func (c *Client) UpdateMembership(ctx context.Context, organizationID, userID, role string) (json.RawMessage, error) {
	return c.write(ctx, "update membership", http.MethodPatch, at(membershipRoute, organizationID, userID),
		body{"role": role}, isOf(userID), organizationID, userID)
}

// DeleteMembership ends a membership.
func (c *Client) DeleteMembership(ctx context.Context, organizationID, userID string) (json.RawMessage, error) {
	return c.write(ctx, "delete membership", http.MethodDelete, at(membershipRoute, organizationID, userID),
		body{}, isOf(userID), organizationID, userID)
}

// CreateInvitation invites an address in the name of a user, who must be an admin at Clerk, too.
func (c *Client) CreateInvitation(ctx context.Context, organizationID, inviterUserID, email, role string) (json.RawMessage, error) {
	return c.write(ctx, "create invitation", http.MethodPost, at("/organizations/{organization_id}/invitations", organizationID),
		body{"email_address": email, "role": role, "inviter_user_id": inviterUserID}, hasID(""), organizationID)
}

// RevokeInvitation takes a pending invitation back in the name of a user, who must be an admin at
// Clerk, too.
func (c *Client) RevokeInvitation(ctx context.Context, organizationID, id, requestingUserID string) (json.RawMessage, error) {
	return c.write(ctx, "revoke invitation", http.MethodPost,
		at("/organizations/{organization_id}/invitations/{invitation_id}/revoke", organizationID, id),
		body{"requesting_user_id": requestingUserID}, hasID(id), organizationID, id)
}

// PendingInvitations returns the pending invitations of an address to an organization, as Clerk
// sends them.
func (c *Client) PendingInvitations(ctx context.Context, organizationID, email string) ([]json.RawMessage, error) {
	if err := checkID(organizationID); err != nil {
		return nil, fmt.Errorf("list pending invitations: %w", err)
	}
	e := at("/organizations/{organization_id}/invitations", organizationID)
	e.query.Set("order_by", oldestFirst)
	e.query.Set("status", "pending")
	e.query.Set("email_address", email)
	found, err := c.search(ctx, e, func(json.RawMessage) (bool, error) { return true, nil }, organizationAt(organizationID))
	if err != nil {
		return nil, fmt.Errorf("list pending invitations: %w", err)
	}
	return found, nil
}

// body is the content of a request that changes something.
type body map[string]string

// bodyParameters makes the SDK send the body.
type bodyParameters struct {
	clerk.APIParams

	body body
}

// MarshalJSON implements [json.Marshaler].
func (p *bodyParameters) MarshalJSON() ([]byte, error) { return json.Marshal(p.body) }

// write sends a command once, if all ids are of Clerk's form, and checks that the answer is about
// the right object.
func (c *Client) write(ctx context.Context, what, method string, e endpoint, fields body,
	check func(json.RawMessage) error, ids ...string,
) (json.RawMessage, error) {
	for _, id := range ids {
		if err := checkID(id); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", what, clerksync.ErrGone, err)
		}
	}
	trip := &trip{}
	e.route = method + " " + e.route
	var object json.RawMessage
	if interactiveOf(ctx) == nil {
		ctx = context.WithValue(ctx, interactiveKey{}, &interactive{purpose: ForCommand, begun: true}) // it is the only call
	}
	err := c.call(ctx, trip, method, e, &bodyParameters{body: fields}, &object)
	if err == nil {
		err = check(object)
	}
	switch {
	case err == nil:
		return object, nil
	case trip.attempts > 0 && !wasRefused(err):
		return nil, fmt.Errorf("%s: %w: %w", what, clerksync.ErrOutcomeUnknown, err)
	default:
		return nil, fmt.Errorf("%s: %w", what, err)
	}
}

// wasRefused reports whether an attempt surely changed nothing: Clerk refused it, or there was no
// connection.
func wasRefused(err error) bool {
	refusal, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return false
	case refusal.Status == http.StatusTooManyRequests, neverSent(err), errors.Is(err, circuitbreaker.ErrOpen):
		return true
	default:
		return refusal.Status >= http.StatusBadRequest && refusal.Status < http.StatusInternalServerError && refusal.Code != ""
	}
}

// hasID returns a check that an object has an id, and this one unless it is "".
func hasID(want string) func(json.RawMessage) error {
	return func(object json.RawMessage) error {
		id, err := idOf(object)
		if err == nil && want != "" && id != want {
			err = malformed("the answer is another object")
		}
		return err
	}
}

// isOf returns a check that a membership belongs to a user.
func isOf(userID string) func(json.RawMessage) error {
	return func(object json.RawMessage) error {
		m, err := membershipOf(object)
		if err == nil && (m.ID == "" || m.User.ID != userID) {
			err = malformed("the answer is another membership")
		}
		return err
	}
}

// refusalOf names why Clerk refused a command; nil if the caller can't act upon the reason.
func refusalOf(e *Error) error {
	switch e.Code {
	case "already_a_member_in_organization":
		return clerksync.ErrAlreadyMember
	case "organization_invitation_not_unique":
		return clerksync.ErrInvitationNotUnique
	case "organization_membership_quota_exceeded":
		return clerksync.ErrQuotaExceeded
	case "organization_minimum_permissions_needed":
		return clerksync.ErrLastAdmin
	case "organization_membership_managed_by_scim":
		return clerksync.ErrManagedByDirectory
	case "organization_invitation_not_pending":
		return clerksync.ErrInvitationNotPending
	case "not_an_admin_in_organization":
		return clerksync.ErrNotAdminAtClerk
	case "form_identifier_exists":
		if e.Param == "slug" {
			return clerksync.ErrSlugTaken
		}
	}
	switch {
	case e.Status == http.StatusNotFound && e.Param == "role": // the role doesn't exist
		return clerksync.ErrInvalidInput
	case e.Status == http.StatusNotFound:
		return clerksync.ErrGone
	case e.Status == http.StatusBadRequest, e.Status == http.StatusUnprocessableEntity:
		return clerksync.ErrInvalidInput
	default:
		return nil
	}
}

// Field implements clerksync.Refusal.
func (e *Error) Field() string {
	switch e.Param {
	case "name", "slug", "role":
		return e.Param
	case "email_address":
		return "email"
	default:
		return ""
	}
}

// Wait implements clerksync.Refusal.
func (e *Error) Wait() time.Duration { return e.RetryAfter }
