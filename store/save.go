package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// saveMirror adds statements that write changed objects, in the order of kinds (see
// queries/mirror.sql).
func saveMirror(p *pipeline, locked Locked, changed clerksync.Mirror) error {
	lockCounts(p, locked.rows, changed)
	return errors.Join(
		saveKind(p, locked.rows, changed.Users, userRow, dbsqlc.SaveUsers),
		saveKind(p, locked.rows, changed.Memberships, membershipRow, dbsqlc.SaveMemberships),
		saveKind(p, locked.rows, changed.Invitations, invitationRow, dbsqlc.SaveInvitations),
		saveKind(p, locked.rows, changed.Domains, domainRow, dbsqlc.SaveDomains),
		saveKind(p, locked.rows, changed.Permissions, permissionRow, dbsqlc.SavePermissions),
		saveKind(p, locked.rows, changed.Roles, roleRow, dbsqlc.SaveRoles),
		saveKind(p, locked.rows, changed.Organizations, organizationRow, dbsqlc.SaveOrganizations),
	)
}

// lockCounts adds a lock of the counts of members that saving will change, if it may change counts
// more than once: for users who are refused now or no longer, for changed memberships, and for added ones.
// Each time they are locked in order, and so must they be all together.
func lockCounts(p *pipeline, locked map[string]bool, changed clerksync.Mirror) {
	var of dbsqlc.LockMemberCountsParams
	kinds := map[string]bool{}
	for id, u := range changed.Users {
		refused := clerksync.UserStatus{Dead: u.Tombstone.Dead(), Banned: u.Banned.Value, Deprovisioned: u.Deprovisioned.Value}.Refusal() != ""
		of.UserIds, of.Refused = append(of.UserIds, id), append(of.Refused, refused)
		if refused || locked[id] {
			kinds["account"] = true
		}
	}
	for id, m := range changed.Memberships {
		of.OrganizationIds = append(of.OrganizationIds, m.OrganizationID)
		if locked[id] {
			kinds["changed"] = true
		} else {
			kinds["added"] = true
		}
	}
	if len(kinds) > 1 {
		p.exec(dbsqlc.LockMemberCounts, nil, of.OrganizationIds, of.UserIds, of.Refused)
	}
}

// saveKind adds the statement that writes objects of one kind, in the order of ids. locked has the
// ids of the rows that are locked.
func saveKind[T, R any](p *pipeline, locked map[string]bool, objects map[string]T, row func(T) (R, error), sql string) error {
	if len(objects) == 0 {
		return nil
	}
	added, changed := []R{}, []R{}
	for _, id := range ids(objects) {
		r, err := row(objects[id])
		switch {
		case err != nil:
			return fmt.Errorf("write %s: %w", id, err)
		case locked[id]:
			changed = append(changed, r)
		default:
			added = append(added, r)
		}
	}
	addedJSON, err := json.Marshal(added)
	if err != nil {
		return fmt.Errorf("write added rows: %w", err)
	}
	changedJSON, err := json.Marshal(changed)
	if err != nil {
		return fmt.Errorf("write changed rows: %w", err)
	}
	p.exec(sql, func(inserted int64) error {
		if inserted < int64(len(added)) {
			return ErrRaced
		}
		return nil
	}, addedJSON, changedJSON)
	return nil
}
