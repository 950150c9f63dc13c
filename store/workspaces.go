package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// ErrNotFound is returned for an organization that is unknown or gone.
var ErrNotFound = errors.New("not found")

// Seat is one organization that a user is a live member of.
type Seat struct {
	OrganizationID string
	Name           string
	Slug           *string
	Role           string   // as Clerk sends it
	Permissions    []string // Clerk's own permissions of the role
}

// Standing returns the seat as what a decision needs: it is a live member's.
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
		return nil, fmt.Errorf("list seats of user: %w", err)
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
	MemberCount int64 // live members, counted in the mirror: Clerk's own count is never truth
}

// FindWorkspace returns a live organization, or ErrNotFound.
func FindWorkspace(ctx context.Context, db DBTX, id string) (Workspace, error) {
	r, err := queries().Workspace(ctx, db, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Workspace{}, ErrNotFound
	}
	if err != nil {
		return Workspace{}, fmt.Errorf("read workspace: %w", err)
	}
	return Workspace{
		ID: r.ID, Name: r.Name, Slug: r.Slug, ImageURL: r.ImageUrl, CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy,
		MemberCount: r.MemberCount,
	}, nil
}

// Member is one live member of an organization.
type Member struct {
	MembershipID string
	UserID       string
	Role         string // as Clerk sends it
	RoleName     *string
	Identifier   *string
	FirstName    *string
	LastName     *string
	JoinedAt     time.Time
}

// Position is a place in a list that is ordered by an instant, then by id: members by when they joined, invitations by
// when they were made. The zero Position is before the first.
type Position struct {
	At time.Time
	ID string
}

// Members lists at most limit live members of an organization after the given position.
func Members(ctx context.Context, db DBTX, organizationID string, after Position, limit int) ([]Member, error) {
	rows, err := queries().Members(ctx, db, dbsqlc.MembersParams{
		OrganizationID: organizationID, AfterJoinedAt: after.At, AfterID: after.ID,
		PageSize: int32(min(limit, 1<<30)), //nolint:gosec // bounded
	})
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	members := make([]Member, len(rows))
	for i, r := range rows {
		members[i] = Member{
			MembershipID: r.ID, UserID: r.UserID, Role: r.Role, RoleName: r.RoleName, Identifier: r.Identifier,
			FirstName: r.FirstName, LastName: r.LastName, JoinedAt: r.JoinedAt,
		}
	}
	return members, nil
}
