package sync

// Urgency says how urgently a delivery has to be applied. A delivery that takes access away
// overtakes all others on its way into the mirror.
type Urgency int

// The urgencies in rising order.
const (
	Ordinary   Urgency = iota
	MayRevoke          // an update that may take access away: only the mirror knows
	DoesRevoke         // a deletion, a ban, an offboarding, the end of a session
)

// Urgency returns the highest urgency that an event of the type can have.
func (t EventType) Urgency() Urgency {
	switch t {
	case OrganizationDeleted, MembershipDeleted, UserUpdated, UserDeleted, RoleDeleted, PermissionDeleted,
		SessionRevoked, SessionEnded, SessionRemoved:
		return DoesRevoke
	case MembershipUpdated, RoleUpdated, PermissionUpdated:
		return MayRevoke
	default:
		return Ordinary
	}
}

// urgencyOf returns the urgency of an event as far as its data shows: a promotion to admin takes
// nothing away, nor does a new name of a user.
func urgencyOf(t EventType, data object) Urgency {
	switch {
	case t == MembershipUpdated && data.role().value == "org:admin":
		return Ordinary
	case t == UserUpdated && !data.boolean("banned").value && !data.boolean("deprovisioned").value:
		return Ordinary
	default:
		return t.Urgency()
	}
}
