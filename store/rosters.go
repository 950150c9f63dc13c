package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// WorkspaceRoster is what is known of a live organization, as far as its needs depend on it.
type WorkspaceRoster struct {
	clerksync.Roster

	OrganizationID string
	Name           string
	Slug           *string
	CreatedAt      *time.Time // nil: Clerk hasn't told
}

// errRulesMoved says that roles or the policy changed again and again during a read.
var errRulesMoved = errors.New("roles or policy change all the time")

// rostersTries is how often rosters are read again because roles or the policy have changed.
const rostersTries = 5

// Rosters returns the rosters of those organizations that are live and known by name, ordered by
// id. Members are counted as [clerksync.Grants.Decide] decides about them under the policy that was
// saved last. Each roster is as of one moment.
func Rosters(ctx context.Context, db DBTX, organizationIDs []string) ([]WorkspaceRoster, error) {
	for range rostersTries {
		rules, err := readRules(ctx, db)
		if err != nil {
			return nil, err
		}
		rosters, err := rules.rosters(ctx, db, organizationIDs)
		if !errors.Is(err, errRulesMoved) {
			return rosters, err
		}
	}
	return nil, errRulesMoved
}

// rules are what decisions about members follow from.
type rules struct {
	stamp  string
	roles  clerksync.Roles
	grants clerksync.Grants

	named, shared, plain []string // keys of roles: those that any role had, that several had, and that are plain (see need.sql)
	noneCanManage        bool
}

func readRules(ctx context.Context, db DBTX) (*rules, error) {
	row, err := queries().Rules(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("read roles and policy: %w", err)
	}
	known, err := unpackRoles(row.Roles)
	if err != nil {
		return nil, err
	}
	var granted [][2]string
	if err := json.Unmarshal(row.Grants, &granted); err != nil {
		return nil, fmt.Errorf("unpack grants: %w", err)
	}
	r := &rules{stamp: row.Stamp, roles: known, grants: clerksync.Grants{}, named: []string{}, shared: []string{}, plain: []string{}}
	for _, g := range granted {
		r.grants[g[0]] = append(r.grants[g[0]], g[1])
	}
	r.sort()
	return r, nil
}

// sort sorts the keys of roles.
func (r *rules) sort() {
	r.noneCanManage = len(r.grants.Granting(clerksync.MembersManage)) == 0 && !r.roles.Permit(clerksync.MembersManage)
	for key, holders := range r.roles {
		r.named = append(r.named, key)
		if len(holders) > 1 {
			r.shared = append(r.shared, key)
		}
		plain := true
		for _, h := range holders {
			var counted clerksync.Roster
			counted.Count(r.grants, clerksync.Acting{Role: h.Key, Permissions: h.Permissions, Members: 1})
			plain = plain && counted == (clerksync.Roster{})
		}
		if plain {
			r.plain = append(r.plain, key)
		}
	}
}

// actingGroup is a group of members as the query Rosters has it.
type actingGroup struct {
	Role        string          `json:"role"`
	Permissions []string        `json:"permissions"`
	Version     json.RawMessage `json:"version"` // of the role, if several had its key
	Members     int64           `json:"members"`
}

// rosters reads rosters under the rules. If these don't hold any more, the error is errRulesMoved.
func (r *rules) rosters(ctx context.Context, db DBTX, organizationIDs []string) ([]WorkspaceRoster, error) {
	rows, err := queries().Rosters(ctx, db, dbsqlc.RostersParams{
		Ids: organizationIDs, Named: r.named, Shared: r.shared, Plain: r.plain, ExpiredAfter: time.Now().Add(-clerksync.ExpiredFor),
	})
	if err != nil {
		return nil, fmt.Errorf("read rosters: %w", err)
	}
	rosters := make([]WorkspaceRoster, len(rows))
	for i, row := range rows {
		if row.Stamp != r.stamp {
			return nil, errRulesMoved
		}
		w := WorkspaceRoster{OrganizationID: row.ID, Name: row.Name, Slug: row.Slug, CreatedAt: row.CreatedAt}
		w.Members, w.Seats, w.ExpiredInvitations = row.Members, clerksync.Seats{Taken: row.Seats, Limit: max(0, row.MaxMemberships)}, row.ExpiredInvitations
		w.NoneCanManage = r.noneCanManage
		if err := r.count(&w.Roster, row.Groups); err != nil {
			return nil, err
		}
		rosters[i] = w
	}
	return rosters, nil
}

// count adds groups of members to a roster.
func (r *rules) count(roster *clerksync.Roster, groups json.RawMessage) error {
	var acting []actingGroup
	if err := json.Unmarshal(groups, &acting); err != nil {
		return fmt.Errorf("unpack roster: %w", err)
	}
	for _, g := range acting {
		group := clerksync.Acting{Role: g.Role, Permissions: g.Permissions, Members: g.Members}
		if named, known := r.roles.Named(g.Role, func() int64 { return writtenAt(g.Version) }); known {
			group.Role, group.Permissions = named.Key, named.Permissions
		}
		roster.Count(r.grants, group)
	}
	return nil
}
