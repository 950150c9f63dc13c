package api

import (
	"net/http"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type memberBody struct {
	UserID       string    `json:"user_id"`
	MembershipID string    `json:"membership_id"`
	Role         string    `json:"role"`
	RoleName     *string   `json:"role_name"`
	Identifier   *string   `json:"identifier"`
	FirstName    *string   `json:"first_name"`
	LastName     *string   `json:"last_name"`
	JoinedAt     time.Time `json:"joined_at"`
}

// members answers GET /v1/workspaces/{workspace_id}/members, in the order of joining.
func (s *server) members(w http.ResponseWriter, r *http.Request, caller clerksync.Standing) error {
	q, err := queryOf(r, "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := limitOf(q)
	if err != nil {
		return err
	}
	after, err := cursorOf(q)
	if err != nil {
		return err
	}
	members, err := store.Members(r.Context(), s.cfg.DB, caller.OrganizationID, after, limit+1)
	if err != nil {
		return err
	}
	return writeTagged(w, r, pageOf(members, limit, func(m store.Member) store.Position {
		return store.Position{At: m.JoinedAt, ID: m.MembershipID}
	}, bodyOfMember))
}

func bodyOfMember(m store.Member) memberBody {
	return memberBody{
		UserID: m.UserID, MembershipID: m.MembershipID, Role: m.Role, RoleName: m.RoleName, Identifier: m.Identifier,
		FirstName: m.FirstName, LastName: m.LastName, JoinedAt: m.JoinedAt.UTC(),
	}
}
