package clerksim

import (
	"net/http"

	"github.com/gorilla/mux"
)

// updateMember gives a member another role and answers the membership as it is now.
func (a *api) updateMember(req *http.Request) (any, error) {
	var change struct {
		Role string `json:"role"`
	}
	if err := readBody(req, &change); err != nil {
		return nil, err
	}
	if change.Role == "" {
		return nil, refuseParam(ErrInvalid, "role", "role is missing")
	}
	return a.changeMember(req, func(organizationID, userID string) (*membership, error) {
		return a.world.setRole(organizationID, userID, change.Role)
	})
}

// removeMember ends a membership and answers it as it was.
func (a *api) removeMember(req *http.Request) (any, error) {
	return a.changeMember(req, a.world.removeMember)
}

func (a *api) changeMember(req *http.Request, change func(organizationID, userID string) (*membership, error)) (any, error) {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	m, err := change(mux.Vars(req)["id"], mux.Vars(req)["user_id"])
	if err != nil {
		return nil, err
	}
	return withUnknownField(m.id, a.membershipBody(m)), nil
}
