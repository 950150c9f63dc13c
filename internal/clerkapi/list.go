package clerkapi

import (
	"context"
	"encoding/json"
	"fmt"

	clerksync "github.com/callmine/rolecall/sync"
)

// List returns one page of a resource, oldest first, as Clerk sent it. A page may be shorter than
// the limit, and the set may change between pages: the caller compares with the total.
//
// Invitations are listed in all their states. Pages of users have no total (-1). The exception is
// the last page, which is shorter than its limit: for that one, List asks Clerk for the count of
// users. If the user to begin after is gone, or Clerk doesn't know such a cursor, the error is
// clerksync.ErrCursorGone.
//
// The list of an organization by its own id is a page with that one, or an empty page. All lists of
// an organization that is gone are empty. Roles and permissions belong to the whole instance, so
// listing those of one organization is an error.
func (c *Client) List(ctx context.Context, resource clerksync.Resource, r clerksync.PageRequest) (clerksync.Page, error) {
	if err := checkPageRequest(resource, r); err != nil {
		return clerksync.Page{}, fmt.Errorf("list %s: %w", resource, err)
	}
	list := c.listPage
	switch {
	case resource == clerksync.ResourceUser:
		list = c.listUsers
	case resource == clerksync.ResourceOrganization && r.OrganizationID != "":
		list = c.listOneOrganization
	}
	page, err := list(ctx, resource, r)
	if err != nil {
		return clerksync.Page{}, fmt.Errorf("list %s: %w", resource, err)
	}
	return page, nil
}

// listEndpoint returns the endpoint that lists a resource of the whole instance or of one
// organization.
func listEndpoint(resource clerksync.Resource, organizationID string) (endpoint, error) {
	ofOne := organizationID != ""
	switch {
	case resource == clerksync.ResourceMembership && ofOne:
		return at("/organizations/{organization_id}/memberships", organizationID), nil
	case resource == clerksync.ResourceMembership:
		return at("/organization_memberships"), nil
	case resource == clerksync.ResourceInvitation && ofOne:
		return at("/organizations/{organization_id}/invitations", organizationID), nil
	case resource == clerksync.ResourceInvitation:
		return at("/organization_invitations"), nil
	case resource == clerksync.ResourceDomain:
		return filtered(at("/organization_domains"), organizationID), nil
	case resource == clerksync.ResourceUser:
		return filtered(at("/users"), organizationID), nil
	case ofOne:
		return endpoint{}, fmt.Errorf("a %s can't be listed by organization", resource)
	case resource == clerksync.ResourceOrganization:
		return at("/organizations"), nil
	case resource == clerksync.ResourceRole:
		return at("/organization_roles"), nil
	case resource == clerksync.ResourcePermission:
		return at("/organization_permissions"), nil
	default:
		return endpoint{}, fmt.Errorf("unknown resource %q", resource)
	}
}

func filtered(e endpoint, organizationID string) endpoint {
	if organizationID != "" {
		e.query.Set("organization_id", organizationID)
	}
	return e
}

func (c *Client) listPage(ctx context.Context, resource clerksync.Resource, r clerksync.PageRequest) (clerksync.Page, error) {
	e, err := listEndpoint(resource, r.OrganizationID)
	if err != nil {
		return clerksync.Page{}, err
	}
	addPage(e.query, r)
	var body listBody
	if err := c.get(ctx, e, &body); err != nil {
		if r.OrganizationID != "" {
			err = c.unlessGone(ctx, err, organizationAt(r.OrganizationID))
		}
		return clerksync.Page{}, err
	}
	return body.page(r.Limit)
}

// listUsers lists users. Clerk sends a bare array, which has no total.
func (c *Client) listUsers(ctx context.Context, resource clerksync.Resource, r clerksync.PageRequest) (clerksync.Page, error) {
	e, err := listEndpoint(resource, r.OrganizationID)
	if err != nil {
		return clerksync.Page{}, err
	}
	addPage(e.query, r)
	var users []json.RawMessage
	if err := c.get(ctx, e, &users); err != nil {
		if cursorUnknown(err, r) {
			err = fmt.Errorf("%w: %w", clerksync.ErrCursorGone, err)
		}
		return clerksync.Page{}, err
	}
	if err := checkObjects(users, r.Limit); err != nil {
		return clerksync.Page{}, err
	}
	page := clerksync.Page{Objects: users, Total: -1}
	if len(users) < r.Limit {
		page.Total, err = c.countUsers(ctx, r.OrganizationID)
	}
	return page, err
}

func (c *Client) countUsers(ctx context.Context, organizationID string) (int, error) {
	var body struct {
		TotalCount *int `json:"total_count"`
	}
	if err := c.get(ctx, filtered(at("/users/count"), organizationID), &body); err != nil {
		return 0, fmt.Errorf("count users: %w", err)
	}
	if body.TotalCount == nil || *body.TotalCount < 0 {
		return 0, malformed("the count of users has no total_count")
	}
	return *body.TotalCount, nil
}

// listOneOrganization lists the organization with that id.
func (c *Client) listOneOrganization(
	ctx context.Context, resource clerksync.Resource, r clerksync.PageRequest,
) (clerksync.Page, error) {
	found, err := c.find(ctx, resource, clerksync.Reference{ID: r.OrganizationID})
	if err != nil {
		return clerksync.Page{}, err
	}
	return clerksync.Page{Objects: found[min(r.Offset, len(found)):], Total: len(found)}, nil
}
