package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

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

// Position is a place in a list that is ordered by an instant, then by id: members by when they
// joined, invitations by when they were made. The zero Position is before the first.
type Position struct {
	At time.Time
	ID string
}

// Members lists at most limit live members of an organization after the given position.
func Members(ctx context.Context, db DBTX, organizationID string, after Position, limit int) ([]Member, error) {
	rows, err := queries().Members(ctx, db, dbsqlc.MembersParams{
		OrganizationID: organizationID, AfterJoinedAt: after.At, AfterID: after.ID,
		PageSize: pageSize(limit),
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

// MembershipOf returns the membership of a pair that counts, and whether it has ended, or
// ErrNotFound. A banned user's membership is returned, too.
func MembershipOf(ctx context.Context, db DBTX, p Pair) (m Member, ended bool, err error) {
	r, err := queries().MembershipOfPair(ctx, db, dbsqlc.MembershipOfPairParams{OrganizationID: p.OrganizationID, UserID: p.UserID})
	if err := oneRow(err, "read membership"); err != nil {
		return Member{}, false, err
	}
	return Member{
		MembershipID: r.ID, UserID: r.UserID, Role: r.Role, RoleName: r.RoleName, Identifier: r.Identifier,
		FirstName: r.FirstName, LastName: r.LastName, JoinedAt: r.JoinedAt,
	}, r.Dead, nil
}
