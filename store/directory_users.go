package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// DirectoryUser is a person as support sees it, also one who may not act.
type DirectoryUser struct {
	Person

	Known         bool // the mirror has the account itself, and not only its memberships
	ImageURL      *string
	Banned        bool
	Deprovisioned bool
	CreatedAt     *time.Time // nil: Clerk hasn't told
	DeletedAt     *time.Time // nil: the account lives
	DeletedCause  string     // the delivery, sweep or look-up that showed the deletion
	Memberships   Tally      // present ones, also of a user who may not act
}

// mostMemberships is how many memberships of a user are counted for a list.
const mostMemberships = 1000

// DirectoryUsers returns what support sees of people, in the given order.
func DirectoryUsers(ctx context.Context, db DBTX, ids []string) ([]DirectoryUser, error) {
	rows, err := queries().DirectoryUsers(ctx, db, dbsqlc.DirectoryUsersParams{Ids: ids, Looked: mostMemberships})
	if err != nil {
		return nil, fmt.Errorf("read users for support: %w", err)
	}
	users := make([]DirectoryUser, len(rows))
	for i, r := range rows {
		users[i] = DirectoryUser{
			Person: Person{ID: r.ID, Identifier: r.Identifier, FirstName: r.FirstName, LastName: r.LastName},
			Known:  r.Known, ImageURL: r.ImageUrl, Banned: r.Banned, Deprovisioned: r.Deprovisioned,
			CreatedAt: r.CreatedAt, DeletedAt: r.DeletedAt, DeletedCause: r.DeletedCause,
			Memberships: Tally{N: r.Memberships, AtLeast: r.Memberships == mostMemberships},
		}
	}
	return users, nil
}

// DirectoryMembership is a user's membership as support sees it.
type DirectoryMembership struct {
	MembershipID   string
	OrganizationID string
	Name           string // of the workspace
	Slug           *string
	Role           string // its present key, as Clerk sends it
	RoleName       *string
	JoinedAt       time.Time
}

// Position returns the membership's place in the list.
func (m DirectoryMembership) Position() Position {
	return Position{At: m.JoinedAt, ID: m.OrganizationID}
}

// DirectoryMemberships lists at most limit present memberships of a user, the oldest first, after
// the given position. A banned or deleted user's memberships are listed, too.
func DirectoryMemberships(ctx context.Context, db DBTX, userID string, after Position, limit int) ([]DirectoryMembership, error) {
	rows, err := queries().DirectoryMemberships(ctx, db, dbsqlc.DirectoryMembershipsParams{
		UserID: userID, AfterJoinedAt: after.At, AfterID: after.ID, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list memberships for support: %w", err)
	}
	memberships := make([]DirectoryMembership, len(rows))
	for i, r := range rows {
		memberships[i] = DirectoryMembership{
			MembershipID: r.ID, OrganizationID: r.OrganizationID, Name: r.Name, Slug: r.Slug, Role: r.Role, RoleName: r.RoleName, JoinedAt: r.JoinedAt,
		}
	}
	return memberships, nil
}

// FormerMembership is a membership that has ended.
type FormerMembership struct {
	DirectoryMembership

	EndedAt          time.Time
	Cause            string // the delivery, command, sweep or look-up that showed the end
	WorkspaceDeleted bool
}

// FormerMemberships lists at most limit memberships of a user that have ended, the last one first.
func FormerMemberships(ctx context.Context, db DBTX, userID string, limit int) ([]FormerMembership, error) {
	rows, err := queries().FormerMemberships(ctx, db, dbsqlc.FormerMembershipsParams{UserID: userID, PageSize: pageSize(limit)})
	if err != nil {
		return nil, fmt.Errorf("list former memberships: %w", err)
	}
	memberships := make([]FormerMembership, len(rows))
	for i, r := range rows {
		memberships[i] = FormerMembership{
			DirectoryMembership: DirectoryMembership{
				MembershipID: r.ID, OrganizationID: r.OrganizationID, Name: r.Name, Slug: r.Slug, Role: r.Role, RoleName: r.RoleName, JoinedAt: r.JoinedAt,
			},
			EndedAt: r.EndedAt, Cause: r.Cause, WorkspaceDeleted: r.WorkspaceDeleted,
		}
	}
	return memberships, nil
}

// recentWorkspaces is how many workspaces [EntriesAbout] looks into.
const recentWorkspaces = 50

// EntriesAbout lists at most limit audit entries about the user who is the query's target, the
// newest first: those of the instance, and those of the 50 workspaces that the user joined last. Of
// the query's fields, neither OrganizationID nor Through counts. The Seq of its Before is an
// entry's ID, because each log has numbers of its own.
func EntriesAbout(ctx context.Context, db DBTX, q AuditQuery, limit int) ([]clerksync.LoggedEntry, error) {
	q = q.fromTheNewest()
	rows, err := queries().EntriesAbout(ctx, db, dbsqlc.EntriesAboutParams{
		UserID: q.Target, Workspaces: recentWorkspaces, Actor: q.Actor, Action: q.Action, Since: q.Since, Until: q.Until,
		BeforeAt: q.Before.At, BeforeID: q.Before.Seq, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list audit entries about a user: %w", err)
	}
	return loggedEntries(rows), nil
}

// mostEndedSessions is how many ends of sessions [EndedSessionsOf] counts.
const mostEndedSessions = 1000

// EndedSessionsOf returns how many sessions of a user are known to have ended, and when the last
// one did; zero if none is. An end is known for 8 days, and if Clerk said whose session it was.
func EndedSessionsOf(ctx context.Context, db DBTX, userID string) (ended Tally, last time.Time, err error) {
	r, err := queries().EndedSessionsOf(ctx, db, dbsqlc.EndedSessionsOfParams{UserID: userID, Most: mostEndedSessions})
	if err != nil {
		return Tally{}, time.Time{}, fmt.Errorf("read ended sessions of user: %w", err)
	}
	return Tally{N: r.Ended, AtLeast: r.Ended == mostEndedSessions}, known(r.Last), nil
}
