package api

import (
	"net/http"
	"slices"
	"time"

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
	ExpiresAt *time.Time `json:"expires_at"` // null: never
}

// invitations answers GET /v1/workspaces/{workspace_id}/invitations, in the order in which they were made.
func (s *server) invitations(w http.ResponseWriter, r *http.Request, caller clerksync.Standing) error {
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
	limit, err := limitOf(q)
	if err != nil {
		return err
	}
	after, err := cursorOf(q)
	if err != nil {
		return err
	}
	invitations, err := store.Invitations(r.Context(), s.cfg.DB, caller.OrganizationID, status, time.Now(), after, limit+1)
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
