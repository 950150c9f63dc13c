package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/mux"

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
func (s *server) members(w http.ResponseWriter, r *http.Request, caller workspaceReader) error {
	q, err := queryOf(r, "limit", "cursor")
	if err != nil {
		return err
	}
	after, limit, err := pageWanted(q, defaultLimit)
	if err != nil {
		return err
	}
	release, err := s.readShares.Take(r.Context(), caller.name)
	if err != nil {
		return err
	}
	defer release()
	members, err := readFrom(r.Context(), s.cfg.DB, func(ctx context.Context, db store.DBTX) ([]store.Member, error) {
		return store.Members(ctx, db, caller.workspaceID, after, limit+1)
	})
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

// setRole answers PATCH /v1/workspaces/{workspace_id}/members/{user_id}.
func (s *server) setRole(w http.ResponseWriter, r *http.Request, caller clerksync.Standing) error {
	var body struct {
		Role string `json:"role"`
	}
	raw, err := readCommand(w, r, &body)
	if err != nil {
		return err
	}
	c := aboutMember(r, caller, clerksync.ActionMemberRoleChanged)
	if c.Role, err = s.role(r.Context(), body.Role); err != nil {
		return err
	}
	if !clerksync.ValidID(clerksync.UserPrefix, c.Target) {
		return errNotFound
	}
	return s.run(w, r, c, raw, answerWith(http.StatusOK, func(ctx context.Context, db store.DBTX, done clerksync.Command) (any, error) {
		m, _, err := store.MembershipOf(ctx, db, store.Pair{UserID: done.Target, OrganizationID: done.OrganizationID})
		return bodyOfMember(m), err
	}))
}

// removeMember answers DELETE /v1/workspaces/{workspace_id}/members/{user_id}. Callers leave by
// removing themselves.
func (s *server) removeMember(w http.ResponseWriter, r *http.Request, caller clerksync.Standing) error {
	c := aboutMember(r, caller, clerksync.ActionMemberRemoved)
	if !clerksync.ValidID(clerksync.UserPrefix, c.Target) {
		return errNotFound
	}
	return s.run(w, r, c, nil, answerWith(http.StatusNoContent, nil))
}

func aboutMember(r *http.Request, caller clerksync.Standing, action clerksync.Action) clerksync.Command {
	return clerksync.Command{
		Actor: caller.UserID, Action: action, OrganizationID: caller.OrganizationID, Target: mux.Vars(r)["user_id"],
	}
}
