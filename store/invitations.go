package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// Invitation is an invitation as a workspace's admins see it.
type Invitation struct {
	ID        string
	Email     string
	Role      string // canonical key
	InviterID *string
	CreatedAt time.Time
	ExpiresAt *time.Time // nil: never
}

// Invitations lists at most limit invitations of an organization that have a status at an instant
// ("pending", "accepted", "revoked" or "expired"), after the given position.
func Invitations(ctx context.Context, db DBTX, organizationID, status string, now time.Time, after Position, limit int) ([]Invitation, error) {
	rows, err := queries().Invitations(ctx, db, dbsqlc.InvitationsParams{
		OrganizationID: organizationID, Status: status, Now: now, AfterCreatedAt: after.At, AfterID: after.ID,
		PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", err)
	}
	invitations := make([]Invitation, len(rows))
	for i, r := range rows {
		invitations[i] = Invitation{
			ID: r.ID, Email: r.Email, Role: r.Role, InviterID: r.InviterID, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt,
		}
	}
	return invitations, nil
}

// FindInvitation returns one invitation with its status, or ErrNotFound.
func FindInvitation(ctx context.Context, db DBTX, id string) (i Invitation, status string, err error) {
	r, err := queries().Invitation(ctx, db, id)
	if err := oneRow(err, "read invitation"); err != nil {
		return Invitation{}, "", err
	}
	return Invitation{
		ID: r.ID, Email: r.Email, Role: r.Role, InviterID: r.InviterID, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt,
	}, r.Status, nil
}
