package sync

import "strings"

// EventType is Clerk's name of an event, such as "organizationMembership.deleted".
type EventType string

// The events that the mirror needs (contract of 2025-04-15). Every other event is acknowledged and
// ignored.
const (
	OrganizationCreated EventType = "organization.created"
	OrganizationUpdated EventType = "organization.updated"
	OrganizationDeleted EventType = "organization.deleted"
	MembershipCreated   EventType = "organizationMembership.created"
	MembershipUpdated   EventType = "organizationMembership.updated"
	MembershipDeleted   EventType = "organizationMembership.deleted"
	InvitationCreated   EventType = "organizationInvitation.created"
	InvitationAccepted  EventType = "organizationInvitation.accepted"
	InvitationRevoked   EventType = "organizationInvitation.revoked"
	DomainCreated       EventType = "organizationDomain.created"
	DomainUpdated       EventType = "organizationDomain.updated"
	DomainDeleted       EventType = "organizationDomain.deleted"
	RoleCreated         EventType = "role.created"
	RoleUpdated         EventType = "role.updated"
	RoleDeleted         EventType = "role.deleted"
	PermissionCreated   EventType = "permission.created"
	PermissionUpdated   EventType = "permission.updated"
	PermissionDeleted   EventType = "permission.deleted"
	UserCreated         EventType = "user.created"
	UserUpdated         EventType = "user.updated"
	UserDeleted         EventType = "user.deleted"
	SessionRevoked      EventType = "session.revoked"
	SessionEnded        EventType = "session.ended"
	SessionRemoved      EventType = "session.removed"
)

// decoderOf returns the decoder of an event type, or nil for a type that the mirror doesn't need.
func decoderOf(t EventType) func(*decoder, object) Facts {
	switch t {
	case OrganizationCreated, OrganizationUpdated, OrganizationDeleted:
		return organizationEvent
	case MembershipCreated, MembershipUpdated, MembershipDeleted:
		return membershipEvent
	case InvitationCreated, InvitationAccepted, InvitationRevoked:
		return invitationEvent
	case DomainCreated, DomainUpdated, DomainDeleted:
		return domainEvent
	case RoleCreated, RoleUpdated, RoleDeleted:
		return roleEvent
	case PermissionCreated, PermissionUpdated, PermissionDeleted:
		return permissionEvent
	case UserCreated, UserUpdated, UserDeleted:
		return userEvent
	case SessionRevoked, SessionEnded, SessionRemoved:
		return sessionEvent
	default:
		return nil
	}
}

// object returns the part before the dot: the kind of object.
func (t EventType) object() string {
	object, _, _ := strings.Cut(string(t), ".")
	return object
}

// kind returns what happened to the object.
func (t EventType) kind() Kind {
	switch {
	case strings.HasSuffix(string(t), ".created"):
		return KindCreated
	case strings.HasSuffix(string(t), ".deleted"):
		return KindDeleted
	default:
		return KindUpdated
	}
}
