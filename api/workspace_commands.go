package api

import (
	"context"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// createWorkspace answers POST /v1/workspaces: the caller becomes the new workspace's admin.
func (s *server) createWorkspace(w http.ResponseWriter, r *http.Request, userID string) error {
	status, err := store.UserStatus(r.Context(), s.cfg.DB, userID)
	if err != nil {
		return err
	}
	if reason := status.Refusal(); reason != "" {
		return forbidden(reason)
	}
	var body struct {
		Name string  `json:"name"`
		Slug *string `json:"slug"`
	}
	said, err := readCommand(w, r, &body)
	if err != nil {
		return err
	}
	c := clerksync.Command{Actor: userID, Action: clerksync.ActionWorkspaceCreated}
	if c.Name, err = workspaceName(body.Name); err != nil {
		return err
	}
	if c.Slug, err = slug(body.Slug); err != nil {
		return err
	}
	return s.run(w, r, c, said, answerWith(http.StatusCreated, workspaceAfter))
}

// renameWorkspace answers PATCH /v1/workspaces/{workspace_id}.
func (s *server) renameWorkspace(w http.ResponseWriter, r *http.Request, member clerksync.Standing) error {
	var body struct {
		Name string `json:"name"`
	}
	said, err := readCommand(w, r, &body)
	if err != nil {
		return err
	}
	c := clerksync.Command{
		Actor: member.UserID, Action: clerksync.ActionWorkspaceRenamed, OrganizationID: member.OrganizationID, Target: member.OrganizationID,
	}
	if c.Name, err = workspaceName(body.Name); err != nil {
		return err
	}
	return s.run(w, r, c, said, answerWith(http.StatusOK, workspaceAfter))
}

func workspaceAfter(ctx context.Context, db store.DBTX, done clerksync.Command) (any, error) {
	ws, err := store.FindWorkspace(ctx, db, done.OrganizationID)
	return bodyOfWorkspace(ws), err
}

// setRole answers PATCH /v1/workspaces/{workspace_id}/members/{user_id}.
func (s *server) setRole(w http.ResponseWriter, r *http.Request, caller clerksync.Standing) error {
	var body struct {
		Role string `json:"role"`
	}
	said, err := readCommand(w, r, &body)
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
	return s.run(w, r, c, said, answerWith(http.StatusOK, func(ctx context.Context, db store.DBTX, done clerksync.Command) (any, error) {
		m, _, err := store.MembershipOf(ctx, db, store.Pair{UserID: done.Target, OrganizationID: done.OrganizationID})
		return bodyOfMember(m), err
	}))
}

// removeMember answers DELETE /v1/workspaces/{workspace_id}/members/{user_id}: of oneself it is leaving.
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

// invite answers POST /v1/workspaces/{workspace_id}/invitations.
func (s *server) invite(w http.ResponseWriter, r *http.Request, caller clerksync.Standing) error {
	var body struct {
		Email string `json:"email"`
		Role  string `json:"role"`
	}
	said, err := readCommand(w, r, &body)
	if err != nil {
		return err
	}
	c := clerksync.Command{Actor: caller.UserID, Action: clerksync.ActionInvitationSent, OrganizationID: caller.OrganizationID}
	if c.Email, err = email(body.Email); err != nil {
		return err
	}
	if c.Role, err = s.role(r.Context(), body.Role); err != nil {
		return err
	}
	return s.run(w, r, c, said, answerWith(http.StatusCreated, func(ctx context.Context, db store.DBTX, done clerksync.Command) (any, error) {
		i, status, err := store.FindInvitation(ctx, db, done.Target)
		return bodyOfInvitation(i, status), err
	}))
}

// revoke answers DELETE /v1/workspaces/{workspace_id}/invitations/{invitation_id}.
func (s *server) revoke(w http.ResponseWriter, r *http.Request, caller clerksync.Standing) error {
	c := clerksync.Command{
		Actor: caller.UserID, Action: clerksync.ActionInvitationRevoked, OrganizationID: caller.OrganizationID,
		Target: mux.Vars(r)["invitation_id"],
	}
	if !clerksync.ValidID(clerksync.InvitationPrefix, c.Target) {
		return errNotFound
	}
	return s.run(w, r, c, nil, answerWith(http.StatusNoContent, nil))
}
