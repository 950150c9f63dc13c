package clerksim

import "fmt"

// Code is one of Clerk's error codes. Each mutation that Clerk would refuse returns an [*Error]
// whose code errors.Is finds: errors.Is(err, clerksim.ErrLastAdmin).
type Code string //nolint:errname // what callers read is clerksim.Code, and ErrX names its values

// The codes that this package returns, in Clerk's spelling where Clerk's is known.
const (
	// ErrNotFound is returned when an id does not exist, or no longer does.
	ErrNotFound Code = "resource_not_found"
	// ErrAlreadyMember is returned when a user is added to an organization twice.
	ErrAlreadyMember Code = "already_a_member_in_organization"
	// ErrLastAdmin is returned when a change would leave an organization without a member who may
	// manage it.
	ErrLastAdmin Code = "organization_minimum_permissions_needed"
	// ErrQuota is returned when an organization already has as many members as it allows. Pending
	// invitations count as members for one more invitation.
	ErrQuota Code = "organization_membership_quota_exceeded"
	// ErrInvitationNotUnique is returned when an address is invited that has a pending invitation
	// already.
	ErrInvitationNotUnique Code = "organization_invitation_not_unique"
	// ErrInvitationNotPending is returned when an invitation is to be accepted or revoked that was
	// accepted or revoked before, or has expired.
	ErrInvitationNotPending Code = "organization_invitation_not_pending"
	// ErrManagedBySCIM is returned by the Backend API when a request would change or end a
	// membership that a company's directory manages; see [World.ManageByDirectory].
	ErrManagedBySCIM Code = "organization_membership_managed_by_scim"
	// ErrNotAdmin is returned when a user is to act for an organization and may not manage its
	// members.
	ErrNotAdmin Code = "not_an_admin_in_organization"
	// ErrInvalid is returned when an argument has a value that Clerk would not take.
	ErrInvalid Code = "form_param_value_invalid"
	// ErrDuplicate is returned when a slug, a role key, a permission key or an organization's
	// domain is taken.
	ErrDuplicate Code = "form_identifier_exists"
	// ErrRoleInUse is returned when a role is to be deleted that a member or an invitation has, or
	// that is a default role.
	ErrRoleInUse Code = "organization_role_in_use"
	// ErrPermissionInUse is returned when a permission is to be deleted that Clerk owns or a role
	// has.
	ErrPermissionInUse Code = "organization_permission_in_use"
	// ErrOrganizationsOff is returned by the Backend API while [FeatureOrganizations] is off.
	ErrOrganizationsOff Code = "organization_not_enabled_in_instance"
	// ErrDomainsOff is returned by the Backend API while [FeatureDomains] is off.
	ErrDomainsOff Code = "organization_domains_not_enabled"
	// ErrBillingOff is returned by the Backend API while [FeatureBilling] is off. Clerk's own code
	// for it isn't documented.
	ErrBillingOff Code = "billing_not_enabled"
	// ErrUnauthorized is returned by the Backend API when the secret key is missing or wrong.
	ErrUnauthorized Code = "clerk_key_invalid"
	// ErrMethodNotAllowed is returned by the Backend API for a known path with another method.
	ErrMethodNotAllowed Code = "method_not_allowed"
	// ErrUnsimulated is returned by the Backend API for a query parameter that Clerk may know and
	// the simulator doesn't: an answer that ignored a filter would be wrong.
	ErrUnsimulated Code = "simulator_parameter_unsupported"
)

// Error returns the code itself.
func (c Code) Error() string { return string(c) }

// Error is a refusal by the simulated Clerk.
type Error struct {
	// Code says what kind of refusal it is; it is what errors.Is compares.
	Code Code
	// Detail is a sentence for people.
	Detail string
	// Param names the argument at fault, in the API's spelling. It may be empty.
	Param string
}

// Error returns the code and the detail.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// Unwrap returns the code, so that errors.Is finds it.
func (e *Error) Unwrap() error { return e.Code }

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

func refuseParam(code Code, param, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...), Param: param}
}
