package sync

import "encoding/json"

// Resource names a kind of object that Clerk lists. The values are stored and shown; never change
// them.
type Resource string

// The resources that the mirror copies.
const (
	ResourceRole         Resource = "role"
	ResourcePermission   Resource = "permission"
	ResourceOrganization Resource = "organization"
	ResourceUser         Resource = "user"
	ResourceMembership   Resource = "membership"
	ResourceInvitation   Resource = "invitation"
	ResourceDomain       Resource = "domain"
)

// Resources lists all resources in the order in which a sweep lists them: what memberships refer to
// comes before them.
func Resources() []Resource {
	return []Resource{
		ResourcePermission, ResourceRole, ResourceOrganization, ResourceUser, ResourceMembership, ResourceInvitation, ResourceDomain,
	}
}

// Instance is the Clerk instance that a secret key belongs to.
type Instance struct {
	ID          string // ins_…
	Environment string // "development" or "production", which decides Clerk's rate limit
}

// PageRequest asks for one page of a listing, oldest objects first.
type PageRequest struct {
	Offset         int    // objects to skip
	After          string // id to begin after, in place of Offset; for users only
	Limit          int    // at most so many objects, 1 to 500
	OrganizationID string // only what belongs to this organization; "" for the whole instance
}

// Page is one page of a listing.
type Page struct {
	Objects []json.RawMessage // as Clerk sent them
	Total   int               // Clerk's count of all; -1 if it gives none
}
