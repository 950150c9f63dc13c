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
