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
	// ErrMissing is returned by the Backend API when a request lacks a field that it needs.
	ErrMissing Code = "form_param_missing"
	// ErrFormat is returned when an e-mail address isn't one.
	ErrFormat Code = "form_param_format_invalid"
	// ErrPasswordTooShort is returned by the Backend API for a password of fewer than 8 characters.
	ErrPasswordTooShort Code = "form_password_length_too_short"
	// ErrPasswordTooLong is returned by the Backend API for a password of more than 72 bytes.
	ErrPasswordTooLong Code = "form_password_length_too_long"
	// ErrPasswordPwned is returned by the Backend API for a password that is in lists of stolen
	// ones. The simulator knows the few commonest.
	ErrPasswordPwned Code = "form_password_pwned"
	// ErrPasswordIncorrect is returned by the Backend API when a password isn't the user's.
	ErrPasswordIncorrect Code = "form_password_incorrect"
	// ErrNoPassword is returned by the Backend API when the password of a user without one is to be
	// verified. Clerk's own code for it isn't documented.
	ErrNoPassword Code = "no_password_set"
	// ErrDuplicate is returned when a slug, a role key, a permission key or an organization's
	// domain is taken. The Backend API also returns it for a user's address, number, username or
	// external id.
	ErrDuplicate Code = "form_identifier_exists"
	// ErrRoleInUse is returned when a role is to be deleted that a member or an invitation has, or
	// that is a default role.
	ErrRoleInUse Code = "organization_role_in_use"
	// ErrPermissionInUse is returned when a permission is to be deleted that Clerk owns or a role
	// has.
	ErrPermissionInUse Code = "organization_permission_in_use"
	// ErrPermissionAssigned is returned by the Backend API when a role has a permission already that
	// it is to get. Clerk's own code for it isn't documented.
	ErrPermissionAssigned Code = "organization_role_permission_exists"
	// ErrOrganizationsOff is returned by the Backend API while [FeatureOrganizations] is off.
	ErrOrganizationsOff Code = "organization_not_enabled_in_instance"
	// ErrDomainsOff is returned by the Backend API while [FeatureDomains] is off.
	ErrDomainsOff Code = "organization_domains_not_enabled"
	// ErrBillingOff is returned by the Backend API while [FeatureBilling] is off. Clerk's own code
	// for it isn't documented.
	ErrBillingOff Code = "billing_not_enabled"
	// ErrUnauthorized is returned by the Backend API when the secret key is missing or wrong.
	ErrUnauthorized Code = "clerk_key_invalid"
	// ErrUnsimulated is returned by the Backend API for a query parameter or a field that only Clerk
	// may know. An answer that ignored it would be wrong.
	ErrUnsimulated Code = "simulator_parameter_unsupported"
	// ErrUnsimulatedCall is returned by the Backend API for a path, or a method on a path, that
	// Clerk may know and the simulator doesn't. It isn't ErrNotFound, which says that an object is
	// gone.
	ErrUnsimulatedCall Code = "simulator_call_unsupported"
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
