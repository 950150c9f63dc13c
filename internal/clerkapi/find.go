package clerkapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	clerksync "github.com/callmine/rolecall/sync"
)

// Find asks whether one object exists now, and returns it as Clerk sends it. No object and no error
// mean that Clerk has none: it answered with a 404 of its own, or with a complete list without the
// object. For a membership, Find returns all memberships of the user in the organization, or only
// the one with the reference's id.
func (c *Client) Find(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error) {
	found, err := c.find(ctx, resource, ref)
	if err != nil {
		return nil, fmt.Errorf("look %s up: %w", resource, err)
	}
	return found, nil
}

func (c *Client) find(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error) {
	switch resource {
	case clerksync.ResourceOrganization:
		return c.findOne(ctx, "/organizations/{organization_id}", ref.ID)
	case clerksync.ResourceUser:
		return c.findOne(ctx, "/users/{user_id}", ref.ID)
	case clerksync.ResourceRole:
		return c.findOne(ctx, "/organization_roles/{role_id}", ref.ID)
	case clerksync.ResourcePermission:
		return c.findOne(ctx, "/organization_permissions/{permission_id}", ref.ID)
	case clerksync.ResourceInvitation:
		return c.findOne(ctx, "/organizations/{organization_id}/invitations/{invitation_id}", ref.OrganizationID, ref.ID)
	case clerksync.ResourceMembership:
		return c.findMemberships(ctx, ref)
	case clerksync.ResourceDomain:
		return c.findDomain(ctx, ref)
	default:
		return nil, fmt.Errorf("unknown resource %q", resource)
	}
}

// findOne gets an object by its path, whose last id is the object's own.
func (c *Client) findOne(ctx context.Context, route string, ids ...string) ([]json.RawMessage, error) {
	for _, id := range ids {
		if err := checkID(id); err != nil {
			return nil, err
		}
	}
	var object json.RawMessage
	err := c.get(ctx, at(route, ids...), &object)
	if saysGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// Clerk also takes an organization's slug for its id.
	if id, err := idOf(object); err != nil || id != ids[len(ids)-1] {
		return nil, malformed("the answer is another object")
	}
	return []json.RawMessage{object}, nil
}

// findMemberships lists the memberships of a user in an organization, because the API has no path
// for one membership. It checks what Clerk's filter returns, because another user's membership must
// not pass for this user's.
func (c *Client) findMemberships(ctx context.Context, ref clerksync.Reference) ([]json.RawMessage, error) {
	for _, id := range []string{ref.OrganizationID, ref.UserID} {
		if err := checkID(id); err != nil {
			return nil, err
		}
	}
	e, err := listEndpoint(clerksync.ResourceMembership, ref.OrganizationID)
	if err != nil {
		return nil, err
	}
	e.query.Set("order_by", oldestFirst)
	e.query.Set("user_id", ref.UserID)
	return c.search(ctx, e, func(object json.RawMessage) (bool, error) {
		m, err := membershipOf(object)
		if err == nil && m.Organization.ID != ref.OrganizationID {
			err = malformed("a membership of another organization")
		}
		return m.User.ID == ref.UserID && (ref.ID == "" || m.ID == ref.ID), err
	}, organizationAt(ref.OrganizationID), userAt(ref.UserID))
}

// UserMemberships returns all memberships of a user, as Clerk sends them; none if Clerk says that
// there is no such user.
func (c *Client) UserMemberships(ctx context.Context, userID string) ([]json.RawMessage, error) {
	if err := checkID(userID); err != nil {
		return nil, fmt.Errorf("list memberships of user: %w", err)
	}
	found, err := c.search(ctx, at("/users/{user_id}/organization_memberships", userID), func(object json.RawMessage) (bool, error) {
		m, err := membershipOf(object)
		return m.User.ID == userID, err
	}, userAt(userID))
	if err != nil {
		return nil, fmt.Errorf("list memberships of user: %w", err)
	}
	return found, nil
}

// membership is the part of a membership that a look-up checks.
type membership struct {
	ID           string `json:"id"`
	Organization struct {
		ID string `json:"id"`
	} `json:"organization"`
	User struct {
		ID string `json:"user_id"`
	} `json:"public_user_data"`
}

func membershipOf(object json.RawMessage) (m membership, err error) {
	if err := json.Unmarshal(object, &m); err != nil || m.User.ID == "" {
		return m, malformed("a membership doesn't say whose it is")
	}
	return m, nil
}

// findDomain searches the organization's domains: the API has no path for one of them.
func (c *Client) findDomain(ctx context.Context, ref clerksync.Reference) ([]json.RawMessage, error) {
	for _, id := range []string{ref.OrganizationID, ref.ID} {
		if err := checkID(id); err != nil {
			return nil, err
		}
	}
	e, err := listEndpoint(clerksync.ResourceDomain, ref.OrganizationID)
	if err != nil {
		return nil, err
	}
	e.query.Set("order_by", oldestFirst)
	return c.search(ctx, e, func(object json.RawMessage) (bool, error) {
		id, err := idOf(object)
		return id == ref.ID, err
	}, organizationAt(ref.OrganizationID))
}

// search pages through a list and returns the objects that match. It returns none if one of the
// list's owners is gone. A list with fewer objects than its total proves nothing: pages shift when
// objects are deleted between them.
func (c *Client) search(
	ctx context.Context, e endpoint, matches func(json.RawMessage) (bool, error), owners ...endpoint,
) ([]json.RawMessage, error) {
	var found []json.RawMessage
	seen := map[string]bool{}
	for offset := 0; ; offset += maxLimit {
		e.query.Set("limit", strconv.Itoa(maxLimit))
		e.query.Set("offset", strconv.Itoa(offset))
		var body listBody
		if err := c.get(ctx, e, &body); err != nil {
			return nil, c.unlessGone(ctx, err, owners...)
		}
		page, err := body.page(maxLimit)
		if err != nil {
			return nil, err
		}
		fresh, err := matching(page.Objects, seen, matches)
		if err != nil {
			return nil, err
		}
		found = append(found, fresh...)
		switch {
		case len(seen) >= page.Total:
			return found, nil
		case len(page.Objects) < maxLimit:
			return nil, malformed("the list shows %d of %d objects", len(seen), page.Total)
		}
	}
}

// matching returns the matching objects that weren't seen before, and marks all objects as seen.
func matching(objects []json.RawMessage, seen map[string]bool, matches func(json.RawMessage) (bool, error)) ([]json.RawMessage, error) {
	var found []json.RawMessage
	for _, object := range objects {
		id, err := idOf(object)
		if err != nil {
			return nil, err
		}
		match, err := matches(object)
		if err != nil {
			return nil, err
		}
		if match && !seen[id] {
			found = append(found, object)
		}
		seen[id] = true
	}
	return found, nil
}
