package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// UserMembership is one organization that a user is a live member of.
type UserMembership struct {
	OrganizationID string
	Name           string
	Slug           *string
	Role           string   // as Clerk sends it
	Permissions    []string // Clerk's own permissions of the role
	JoinedAt       time.Time
}

// Position returns the membership's place in the list.
func (m UserMembership) Position() Position { return Position{At: m.JoinedAt, ID: m.OrganizationID} }

// Standing returns what a decision needs: the standing of a live member.
func (m UserMembership) Standing(userID string) clerksync.Standing {
	return clerksync.Standing{
		UserID: userID, OrganizationID: m.OrganizationID, EverMember: true, Member: true,
		Role: m.Role, Permissions: m.Permissions,
	}
}

// MembershipsOfUser lists at most limit organizations that a user is a live member of, oldest
// membership first, after the given position.
func MembershipsOfUser(ctx context.Context, db DBTX, userID string, after Position, limit int) ([]UserMembership, error) {
	rows, err := queries().WorkspacesOfUser(ctx, db, dbsqlc.WorkspacesOfUserParams{
		UserID: userID, AfterJoinedAt: after.At, AfterID: after.ID, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list memberships of user: %w", err)
	}
	memberships := make([]UserMembership, len(rows))
	for i, r := range rows {
		memberships[i] = UserMembership{
			OrganizationID: r.OrganizationID, Name: r.Name, Slug: r.Slug, Role: r.Role, Permissions: r.Permissions, JoinedAt: r.JoinedAt,
		}
	}
	return memberships, nil
}

// Workspace is a live organization as callers of the API see it.
type Workspace struct {
	ID          string
	Name        string
	Slug        *string
	ImageURL    *string
	CreatedAt   *time.Time // nil: Clerk hasn't told
	CreatedBy   *string
	MemberCount int64 // live members, as the mirror knows them, and not Clerk
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

// WorkspaceBySlug returns the id of the one live organization with a slug, or "" if there is none.
// A slug that two have names neither: which one is meant can't be known.
func WorkspaceBySlug(ctx context.Context, db DBTX, slug string) (string, error) {
	ids, err := queries().WorkspacesBySlug(ctx, db, &slug)
	switch {
	case err != nil:
		return "", fmt.Errorf("find workspace by slug: %w", err)
	case len(ids) != 1:
		return "", nil
	default:
		return ids[0], nil
	}
}
