package clerksim

import (
	"net/http"
	"slices"

	"github.com/gorilla/mux"
)

func (a *api) addMember(req *http.Request) (any, error) {
	var wanted struct {
		metadataRequest
		UserID string `json:"user_id"`
		Role   string `json:"role"`
	}
	if err := readBody(req, &wanted); err != nil {
		return nil, err
	}
	if wanted.UserID == "" {
		return nil, missing("user_id")
	}
	if wanted.Role == "" {
		return nil, missing("role")
	}
	checked, err := checkMetadata(unlessNull(wanted.Public), unlessNull(wanted.Private))
	if err != nil {
		return nil, err
	}
	return a.changeMember(func() (*membership, error) {
		return a.world.addMember(mux.Vars(req)["id"], wanted.UserID, wanted.Role, checked)
	})
}

// updateMember gives a member another role and answers with the new membership.
func (a *api) updateMember(req *http.Request) (any, error) {
	var change struct {
		Role string `json:"role"`
	}
	if err := readBody(req, &change); err != nil {
		return nil, err
	}
	if change.Role == "" {
		return nil, missing("role")
	}
	return a.changeMember(func() (*membership, error) {
		organizationID, userID := mux.Vars(req)["id"], mux.Vars(req)["user_id"]
		if err := a.world.checkManagedByHand(organizationID, userID); err != nil {
			return nil, err
		}
		return a.world.setRole(organizationID, userID, change.Role)
	})
}

// removeMember ends a membership and answers with it as it was.
func (a *api) removeMember(req *http.Request) (any, error) {
	return a.changeMember(func() (*membership, error) {
		organizationID, userID := mux.Vars(req)["id"], mux.Vars(req)["user_id"]
		if err := a.world.checkManagedByHand(organizationID, userID); err != nil {
			return nil, err
		}
		return a.world.removeMember(organizationID, userID)
	})
}

func (a *api) changeMember(change func() (*membership, error)) (any, error) {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	m, err := change()
	if err != nil {
		return nil, err
	}
	return withUnknownField(m.id, a.membershipBody(m)), nil
}

// memberFilters are the parameters that narrow the list of an organization's members.
func memberFilters() []string { return append(identityFilters(), "user_id", "role") }

// membershipOrders are the orders that the Backend API document lists beside created_at: by fields
// of the user.
func membershipOrders() orders[*membership] {
	byUser := make(orders[*membership])
	for name, compare := range identityOrders() {
		byUser[name] = func(x, y *membership) int { return compare(x.user, y.user) }
	}
	return byUser
}

func (a *api) listMemberships(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	return list(a, req, a.world.memberships.ordered, membershipOrders(), a.membershipBody)
}

func (a *api) listMembers(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	o, err := a.world.findOrganization(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	byUser, err := parseIDFilter(req.URL.Query(), "user_id")
	if err != nil {
		return nil, err
	}
	named, err := identityFilter(req.URL.Query())
	if err != nil {
		return nil, err
	}
	roles, err := manyValues(req.URL.Query(), "role")
	if err != nil {
		return nil, err
	}
	rows := filterRows(o.members.ordered, byUser, func(m *membership) string { return m.user.id })
	if named != nil {
		rows = matching(rows, func(m *membership) bool { return named(m.user) })
	}
	if len(roles) > 0 {
		rows = matching(rows, func(m *membership) bool { return slices.Contains(roles, a.world.wireRole(m.role.Key)) })
	}
	return list(a, req, rows, membershipOrders(), a.membershipBody)
}

func (a *api) listMembershipsOfUser(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	u, err := a.world.findUser(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	return list(a, req, u.memberships.ordered, nil, a.membershipBody)
}

func (a *api) membershipBody(m *membership) any { return a.world.membershipBody(m) }
