package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// PolicyChange is the step from one policy to another, for the members whom the mirror has. It
// knows the roles as of the moment when it was read.
type PolicyChange struct {
	clerksync.GrantsChange

	rules *rules
}

// ReadPolicyChange reads the roles on which a change of the policy depends. What is then asked of
// it should be asked of the same snapshot.
func ReadPolicyChange(ctx context.Context, db DBTX, change clerksync.GrantsChange) (PolicyChange, error) {
	rules, err := readRules(ctx, db)
	if err != nil {
		return PolicyChange{}, err
	}
	return PolicyChange{change, rules}, nil
}

// LeftWorkspace is a workspace that a change leaves without a manager.
type LeftWorkspace struct {
	ID      string
	Name    string // "" if Clerk hasn't told
	Slug    *string
	Members int64
}

// LeftWithoutManager lists the workspaces in which a member may manage members before the change,
// and none may after it, ordered by id: at most limit after the given id.
func (c PolicyChange) LeftWithoutManager(ctx context.Context, db DBTX, after string, limit int) ([]LeftWorkspace, error) {
	lost, kept := c.Managers()
	if len(lost) == 0 {
		return nil, nil
	}
	rows, err := queries().LeftWithoutManager(ctx, db, dbsqlc.LeftWithoutManagerParams{
		Lost: c.rules.namedBy(lost), Kept: c.rules.namedBy(kept), Shared: c.rules.sharedBy(slices.Concat(lost, kept)), LostKeys: lost, KeptKeys: notNil(kept),
		After: after, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list workspaces without a manager: %w", err)
	}
	left := make([]LeftWorkspace, len(rows))
	for i, row := range rows {
		left[i] = LeftWorkspace{ID: row.OrganizationID, Name: row.Name, Slug: row.Slug, Members: row.Members}
	}
	return left, nil
}

// RoleChange says what the members of a role gain and lose.
type RoleChange struct {
	Role         string
	Members      int64 // who may act
	Gains, Loses []string
}

// ByRole says for each role what its members gain and lose, and how many there are, ordered by
// role. It lists a role without members, too.
func (c PolicyChange) ByRole(ctx context.Context, db DBTX) ([]RoleChange, error) {
	roles := c.Roles()
	rows, err := queries().HoldersByRole(ctx, db, dbsqlc.HoldersByRoleParams{
		Keys: c.keys(roles), Shared: c.rules.sharedBy(roles), Named: c.rules.named,
	})
	if err != nil {
		return nil, fmt.Errorf("count members by role: %w", err)
	}
	var changes []RoleChange
	add := func(role string, atClerk []string, members int64) {
		one := RoleChange{Role: role, Members: members}
		if one.Gains, one.Loses = c.Of(role, atClerk); len(one.Gains)+len(one.Loses) == 0 {
			return
		}
		same := func(other RoleChange) bool {
			return other.Role == role && slices.Equal(other.Gains, one.Gains) && slices.Equal(other.Loses, one.Loses)
		}
		if i := slices.IndexFunc(changes, same); i >= 0 {
			changes[i].Members += members
		} else {
			changes = append(changes, one)
		}
	}
	counted := map[string]bool{}
	for _, row := range rows {
		role, atClerk := c.roleOf(row.Role, row.Permissions, row.WorkedOut)
		add(role, atClerk, row.Members)
		counted[role] = true
	}
	for _, role := range roles {
		if !counted[role] {
			add(role, nil, 0)
		}
	}
	slices.SortStableFunc(changes, func(a, b RoleChange) int { return cmp.Compare(a.Role, b.Role) })
	return changes, nil
}

// MemberChange says what a member of a workspace gains and loses.
type MemberChange struct {
	OrganizationID string
	WorkspaceName  string // "" if Clerk hasn't told
	UserID         string
	Identifier     *string
	Role           string
	Gains, Loses   []string
}

// Members lists the members who gain or lose something, ordered by workspace and user: at most
// limit of them after the given pair.
func (c PolicyChange) Members(ctx context.Context, db DBTX, after Pair, limit int) ([]MemberChange, error) {
	roles := c.Roles()
	var changes []MemberChange
	for len(changes) < limit {
		rows, err := queries().HoldersOfRoles(ctx, db, dbsqlc.HoldersOfRolesParams{
			Keys: c.keys(roles), Shared: c.rules.sharedBy(roles), Named: c.rules.named,
			AfterOrganization: after.OrganizationID, AfterUser: after.UserID, PageSize: pageSize(limit),
		})
		if err != nil {
			return nil, fmt.Errorf("list members by role: %w", err)
		}
		for _, row := range rows {
			one := MemberChange{OrganizationID: row.OrganizationID, WorkspaceName: row.WorkspaceName, UserID: row.UserID, Identifier: row.Identifier}
			var atClerk []string
			one.Role, atClerk = c.roleOf(row.Role, row.Permissions, row.WorkedOut)
			if one.Gains, one.Loses = c.Of(one.Role, atClerk); len(one.Gains)+len(one.Loses) > 0 && len(changes) < limit {
				changes = append(changes, one)
			}
			after = Pair{OrganizationID: row.OrganizationID, UserID: row.UserID}
		}
		if len(rows) < limit {
			break
		}
	}
	return changes, nil
}

// roleOf returns the present key and Clerk's permissions of the role that a membership names,
// unless the query has worked them out.
func (c PolicyChange) roleOf(key string, permissions []string, workedOut bool) (role string, atClerk []string) {
	if holders := c.rules.roles[key]; len(holders) > 0 && !workedOut {
		return holders[0].Key, holders[0].Permissions
	}
	return key, permissions
}

// keys lists the keys that memberships may have for some roles, given by their present keys.
func (c PolicyChange) keys(roles []string) []string {
	return slices.Concat(c.rules.namedBy(roles), c.rules.sharedBy(roles))
}

// namedBy lists the keys by which memberships may name some roles, given by their present keys, and
// no other role.
func (r *rules) namedBy(roles []string) []string {
	keys := []string{}
	for key, holders := range r.roles {
		if len(holders) == 1 && slices.Contains(roles, holders[0].Key) {
			keys = append(keys, key)
		}
	}
	for _, role := range roles {
		if len(r.roles[role]) == 0 { // no role ever had it: the membership's own copy counts
			keys = append(keys, role)
		}
	}
	return keys
}

// sharedBy lists the keys by which memberships may name some roles, given by their present keys,
// and other roles, too.
func (r *rules) sharedBy(roles []string) []string {
	return slices.DeleteFunc(slices.Clone(r.shared), func(key string) bool {
		return !slices.ContainsFunc(r.roles[key], func(h clerksync.KeyHolder) bool { return slices.Contains(roles, h.Key) })
	})
}

// notNil returns an empty list in the place of none: SQL compares with nothing, and not with null.
func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Roles returns the roles of the instance, by each key that they ever had.
func Roles(ctx context.Context, db DBTX) (clerksync.Roles, error) {
	rules, err := readRules(ctx, db)
	if err != nil {
		return nil, err
	}
	return rules.roles, nil
}
