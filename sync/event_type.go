package sync

import "strings"

// EventType is Clerk's name of an event, such as "organizationMembership.deleted".
type EventType string

// The events that concern the mirror (contract of 2025-04-15). Every other one is acknowledged and ignored.
const (
	OrganizationCreated EventType = "organization.created"
	OrganizationUpdated EventType = "organization.updated"
	OrganizationDeleted EventType = "organization.deleted"
	MembershipCreated   EventType = "organizationMembership.created"
	MembershipUpdated   EventType = "organizationMembership.updated"
	MembershipDeleted   EventType = "organizationMembership.deleted"
	UserCreated         EventType = "user.created"
	UserUpdated         EventType = "user.updated"
	UserDeleted         EventType = "user.deleted"
)

// object returns the part before the dot: what the event is about.
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
