package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type invitationBody struct {
	ID        string     `json:"id"`
	Email     string     `json:"email"`
	Role      string     `json:"role"`
	Status    string     `json:"status"`
	InvitedBy *string    `json:"invited_by"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"` // null if it never expires
}

// invitations answers GET /v1/workspaces/{workspace_id}/invitations, oldest invitation first.
func (s *server) invitations(w http.ResponseWriter, r *http.Request, caller workspaceReader) error {
	q, err := queryOf(r, "status", "limit", "cursor")
	if err != nil {
		return err
	}
	status, given := q["status"]
	if !given {
		status = clerksync.InvitationPending
	}
	if !slices.Contains([]string{
		clerksync.InvitationPending, clerksync.InvitationWasAccepted, clerksync.InvitationWasRevoked, clerksync.InvitationExpired,
	}, status) {
		return badRequest("status must be pending, accepted, revoked or expired.")
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
	invitations, err := readFrom(r.Context(), s.cfg.DB, func(ctx context.Context, db store.DBTX) ([]store.Invitation, error) {
		return store.Invitations(ctx, db, caller.workspaceID, status, time.Now(), after, limit+1)
	})
	if err != nil {
		return err
	}
	return writeTagged(w, r, pageOf(invitations, limit, func(i store.Invitation) store.Position {
		return store.Position{At: i.CreatedAt, ID: i.ID}
	}, func(i store.Invitation) invitationBody { return bodyOfInvitation(i, status) }))
}

func bodyOfInvitation(i store.Invitation, status string) invitationBody {
	return invitationBody{
		ID: i.ID, Email: i.Email, Role: i.Role, Status: status, InvitedBy: i.InviterID, CreatedAt: i.CreatedAt.UTC(),
		ExpiresAt: utc(i.ExpiresAt),
	}
}

// invite answers POST /v1/workspaces/{workspace_id}/invitations.
func (s *server) invite(w http.ResponseWriter, r *http.Request, caller clerksync.Standing) error {
	var body struct {
		Email string `json:"email"`
		Role  string `json:"role"`
	}
	raw, err := readCommand(w, r, &body)
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
	return s.run(w, r, c, raw, answerWith(http.StatusCreated, func(ctx context.Context, db store.DBTX, done clerksync.Command) (any, error) {
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
