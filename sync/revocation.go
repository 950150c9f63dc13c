package sync

// MayRevoke reports whether an event of the type can take access away from anybody.
func (t EventType) MayRevoke() bool {
	switch t {
	case OrganizationDeleted, MembershipUpdated, MembershipDeleted, UserUpdated, UserDeleted, RoleUpdated, RoleDeleted,
		PermissionUpdated, PermissionDeleted:
		return true
	default:
		return false
	}
}

// revokes reports whether an event may take access away, as far as its data tells: a promotion to admin doesn't, nor
// does a new name of a user. What takes access away overtakes everything else on its way into the mirror.
func revokes(t EventType, data object) bool {
	switch t {
	case MembershipUpdated:
		return data.role().value != "org:admin"
	case UserUpdated:
		return data.boolean("banned").value || data.boolean("deprovisioned").value
	default:
		return t.MayRevoke()
	}
}
