package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// DirectoryWorkspace is a workspace as support sees it, also a deleted one.
type DirectoryWorkspace struct {
	ID           string
	Known        bool // the mirror has the workspace itself, and not only its members
	Name         string
	Slug         *string
	ImageURL     *string
	CreatedAt    *time.Time // nil: Clerk hasn't told
	CreatedBy    *string    // the user's id
	RoleSetKey   *string
	DeletedAt    *time.Time // nil: it lives
	DeletedCause string     // the delivery, command, sweep or look-up that showed the deletion
	Members      int64      // those who may act
	Managers     Tally      // members who may act and have the permission that was asked about
	ChangedAt    *time.Time // the newest change of the workspace, its members or its invitations; nil: unknown
}

// HolderSearch says which permission [DirectoryWorkspaces] counts the holders of, and how far.
type HolderSearch struct {
	Permission string
	Looked     int // members looked at in each workspace, those who joined first
	Most       int // holders counted in each workspace
}

// DirectoryWorkspaces returns what support sees of workspaces, in the given order. Who holds the
// permission follows from the roles and from the policy that the database has.
func DirectoryWorkspaces(ctx context.Context, db DBTX, ids []string, search HolderSearch) ([]DirectoryWorkspace, error) {
	rows, err := queries().DirectoryWorkspaces(ctx, db, dbsqlc.DirectoryWorkspacesParams{
		Ids: ids, Permission: search.Permission, Looked: pageSize(search.Looked), Most: pageSize(search.Most),
	})
	if err != nil {
		return nil, fmt.Errorf("read workspaces for support: %w", err)
	}
	workspaces := make([]DirectoryWorkspace, len(rows))
	for i, r := range rows {
		workspaces[i] = DirectoryWorkspace{
			ID: r.ID, Known: r.Known, Name: r.Name, Slug: r.Slug, ImageURL: r.ImageUrl, CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy,
			RoleSetKey: r.RoleSetKey, DeletedAt: r.DeletedAt, DeletedCause: r.DeletedCause, Members: r.Members,
			Managers: Tally{N: r.Holders, AtLeast: r.MoreHolders},
		}
		if at := known(r.ChangedAt); !at.IsZero() {
			workspaces[i].ChangedAt = &at
		}
	}
	return workspaces, nil
}

// WorkspaceFreshness returns the revision of a workspace and its as-of, as decisions have them. The
// as-of is zero if nothing is known of it.
func WorkspaceFreshness(ctx context.Context, db DBTX, organizationID string) (revision int64, asOf time.Time, err error) {
	r, err := queries().WorkspaceRevision(ctx, db, organizationID)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("read revision of workspace: %w", err)
	}
	return r.Revision, known(r.AsOf), nil
}

// Domain is a domain of a workspace.
type Domain struct {
	ID             string
	Name           string
	EnrollmentMode string // as Clerk sends it
	Verification   string // as Clerk sends it
	CreatedAt      *time.Time
}

// Domains lists at most limit domains of an organization, by name.
func Domains(ctx context.Context, db DBTX, organizationID string, limit int) ([]Domain, error) {
	rows, err := queries().WorkspaceDomains(ctx, db, dbsqlc.WorkspaceDomainsParams{OrganizationID: organizationID, PageSize: pageSize(limit)})
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	domains := make([]Domain, len(rows))
	for i, r := range rows {
		domains[i] = Domain(r)
	}
	return domains, nil
}

// Person is how people are named. All three names may be unknown.
type Person struct {
	ID         string
	Identifier *string // e-mail address or other identifier
	FirstName  *string
	LastName   *string
}

// OpenInvitation is an invitation that waits for an answer, or has expired.
type OpenInvitation struct {
	Invitation

	Inviter *Person // nil: unknown
}

// OpenInvitations lists at most limit invitations of an organization, in the order in which they
// were made, after the given position: those that wait for an answer, and those that have expired.
func OpenInvitations(ctx context.Context, db DBTX, organizationID string, after Position, limit int) ([]OpenInvitation, error) {
	rows, err := queries().OpenInvitations(ctx, db, dbsqlc.OpenInvitationsParams{
		OrganizationID: organizationID, AfterCreatedAt: after.At, AfterID: after.ID, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list open invitations: %w", err)
	}
	invitations := make([]OpenInvitation, len(rows))
	for i, r := range rows {
		invitations[i] = OpenInvitation{
			Invitation: Invitation{ID: r.ID, Email: r.Email, Role: r.Role, InviterID: r.InviterID, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt},
			Inviter:    personOf(r.InviterID, r.InviterIdentifier, r.InviterFirstName, r.InviterLastName),
		}
	}
	return invitations, nil
}

// personOf returns a person, or nil if there is no id.
func personOf(id, identifier, firstName, lastName *string) *Person {
	if id == nil {
		return nil
	}
	return &Person{ID: *id, Identifier: identifier, FirstName: firstName, LastName: lastName}
}

// DirectoryMember is a member of a workspace as support sees it, also one who may not act.
type DirectoryMember struct {
	Person

	MembershipID  string
	Role          string // its present key, as Clerk sends it
	RoleName      *string
	Permissions   []string // Clerk's own permissions of the role
	JoinedAt      time.Time
	Banned        bool
	Deprovisioned bool
	DeletedAt     *time.Time // of the account; nil: it lives
	InvitedBy     *Person    // nil: no accepted invitation is known
}

// DirectoryMembers lists at most limit members of an organization in the order of joining, after
// the given position. Those who may not act are listed, too, and so are those of a deleted
// organization.
func DirectoryMembers(ctx context.Context, db DBTX, organizationID string, after Position, limit int) ([]DirectoryMember, error) {
	rows, err := queries().DirectoryMembers(ctx, db, dbsqlc.DirectoryMembersParams{
		OrganizationID: organizationID, AfterJoinedAt: after.At, AfterID: after.ID, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list members for support: %w", err)
	}
	members := make([]DirectoryMember, len(rows))
	for i, r := range rows {
		members[i] = DirectoryMember{
			Person:       Person{ID: r.UserID, Identifier: r.Identifier, FirstName: r.FirstName, LastName: r.LastName},
			MembershipID: r.ID, Role: r.Role, RoleName: r.RoleName, Permissions: r.Permissions, JoinedAt: r.JoinedAt,
			Banned: r.Banned, Deprovisioned: r.Deprovisioned, DeletedAt: r.DeletedAt,
			InvitedBy: personOf(r.InviterID, r.InviterIdentifier, r.InviterFirstName, r.InviterLastName),
		}
	}
	return members, nil
}
