package support

import (
	"context"
	"time"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Member is a member as support sees one.
type Member struct {
	store.DirectoryMember

	Status  string // why the account may do nothing; "" if it may act
	Manages bool   // may manage the workspace's members
}

// Members is one page of a workspace's members.
type Members struct {
	Page []Member
	Next *store.Position // where the next page begins; nil: this is the last one
}

// MemberSearch says which members of a workspace are listed, and what they may do.
type MemberSearch struct {
	Grants clerksync.Grants // the policy
	May    string           // only members who may use this permission; "" for all
}

// ReadMembers returns at most limit members of a workspace in the order of joining, after the given
// position. Those who may not act are listed, too. Who manages follows from the policy that the
// database has.
func ReadMembers(ctx context.Context, db store.DBTX, workspace store.DirectoryWorkspace, after store.Position, limit int) (Members, error) {
	grants, err := store.Grants(ctx, db)
	if err != nil {
		return Members{}, err
	}
	return SearchMembers(ctx, db, workspace, MemberSearch{Grants: grants}, after, limit)
}

// searchedMembers is how many members are read at a time if some of them are searched.
const searchedMembers = 1000

// SearchMembers returns at most limit of the members that are searched, as [ReadMembers] does.
func SearchMembers(
	ctx context.Context, db store.DBTX, workspace store.DirectoryWorkspace, search MemberSearch, after store.Position, limit int,
) (m Members, err error) {
	read := limit + 1
	if search.May != "" {
		read = max(read, searchedMembers)
	}
	for {
		listed, err := store.DirectoryMembers(ctx, db, workspace.ID, after, read)
		if err != nil {
			return m, err
		}
		for _, one := range listed {
			standing := clerksync.Standing{
				EverMember: true, Member: true, OrganizationDead: workspace.DeletedAt != nil, Role: one.Role, Permissions: one.Permissions,
				User: clerksync.UserStatus{Dead: one.DeletedAt != nil, Banned: one.Banned, Deprovisioned: one.Deprovisioned},
			}
			if search.May != "" && !search.Grants.Decide(standing, search.May).Allowed {
				continue
			}
			if len(m.Page) == limit {
				m.Next = new(m.Page[limit-1].position())
				return m, nil
			}
			m.Page = append(m.Page, Member{
				DirectoryMember: one, Status: Status(one.DeletedAt != nil, one.Banned, one.Deprovisioned),
				Manages: search.Grants.Decide(standing, policy.MembersManage).Allowed,
			})
		}
		if len(listed) < read {
			return m, nil
		}
		after = Member{DirectoryMember: listed[len(listed)-1]}.position()
	}
}

// position returns the member's place in the list.
func (m Member) position() store.Position {
	return store.Position{At: m.JoinedAt, ID: m.MembershipID}
}

// Invitations is one page of a workspace's open invitations.
type Invitations struct {
	Page []store.OpenInvitation
	Next *store.Position // where the next page begins; nil: this is the last one
}

// ReadInvitations returns at most limit open and expired invitations in the order in which they
// were made, after the given position.
func ReadInvitations(ctx context.Context, db store.DBTX, organizationID string, after store.Position, limit int) (i Invitations, err error) {
	if i.Page, err = store.OpenInvitations(ctx, db, organizationID, after, limit+1); err != nil {
		return i, err
	}
	if len(i.Page) > limit {
		i.Page = i.Page[:limit]
		last := i.Page[limit-1]
		i.Next = &store.Position{At: last.CreatedAt, ID: last.ID}
	}
	return i, nil
}

// Workspace is all that support sees of one workspace, but its members and invitations.
type Workspace struct {
	store.DirectoryWorkspace

	Creator  *store.Person // nil: unknown
	Revision int64
	AsOf     time.Time // zero: unknown
	Domains  []store.Domain
	Entries  []clerksync.LoggedEntry
}

// mostDomains bounds the domains of an answer.
const mostDomains = 50

// ReadWorkspace returns what support sees of a workspace, with its newest audit entries. db should
// be a snapshot, so that the parts agree.
func ReadWorkspace(ctx context.Context, db store.DBTX, workspace store.DirectoryWorkspace, entries int) (w Workspace, err error) {
	w.DirectoryWorkspace = workspace
	if workspace.CreatedBy != nil {
		creators, err := store.DirectoryUsers(ctx, db, []string{*workspace.CreatedBy})
		if err != nil {
			return w, err
		}
		w.Creator = &creators[0].Person
	}
	if w.Revision, w.AsOf, err = store.WorkspaceFreshness(ctx, db, workspace.ID); err != nil {
		return w, err
	}
	if w.Domains, err = store.Domains(ctx, db, workspace.ID, mostDomains); err != nil {
		return w, err
	}
	w.Entries, err = store.AuditEntries(ctx, db, store.AuditQuery{OrganizationID: workspace.ID}, entries)
	return w, err
}
