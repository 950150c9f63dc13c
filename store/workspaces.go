package store

import (
	"context"
	"fmt"
	"time"

	clerksync "github.com/callmine/rolecall/sync"
)

// Seat is one organization that a user is a live member of.
type Seat struct {
	OrganizationID string
	Name           string
	Slug           *string
	Role           string   // as Clerk sends it
	Permissions    []string // Clerk's own permissions of the role
}

// Standing returns what a decision needs: the standing of a live member.
func (s Seat) Standing(userID string) clerksync.Standing {
	return clerksync.Standing{
		UserID: userID, OrganizationID: s.OrganizationID, EverMember: true, Member: true,
		Role: s.Role, Permissions: s.Permissions,
	}
}

// Seats lists the organizations that a user is a live member of, oldest membership first.
func Seats(ctx context.Context, db DBTX, userID string) ([]Seat, error) {
	rows, err := queries().WorkspacesOfUser(ctx, db, userID)
	if err != nil {
		return nil, fmt.Errorf("list memberships of user: %w", err)
	}
	seats := make([]Seat, len(rows))
	for i, r := range rows {
		seats[i] = Seat{OrganizationID: r.OrganizationID, Name: r.Name, Slug: r.Slug, Role: r.Role, Permissions: r.Permissions}
	}
	return seats, nil
}

// Workspace is a live organization as callers of the API see it.
type Workspace struct {
	ID          string
	Name        string
	Slug        *string
	ImageURL    *string
	CreatedAt   *time.Time // nil: Clerk hasn't told
	CreatedBy   *string
	MemberCount int64 // live members, counted in the mirror: Clerk's own count isn't used
}

// FindWorkspace returns a live organization, or ErrNotFound.
func FindWorkspace(ctx context.Context, db DBTX, id string) (Workspace, error) {
	r, err := queries().Workspace(ctx, db, id)
	if err := oneRow(err, "read workspace"); err != nil {
		return Workspace{}, err
	}
	return Workspace{
		ID: r.ID, Name: r.Name, Slug: r.Slug, ImageURL: r.ImageUrl, CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy,
		MemberCount: r.MemberCount,
	}, nil
}
