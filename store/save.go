package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// SaveMirror writes objects that changed since [LockMirror]: over the rows that it locked, and into
// new rows for the others. It never overwrites another writer's row: if one is in the way, the
// error is [ErrRaced].
func SaveMirror(ctx context.Context, db DBTX, locked Locked, changed clerksync.Mirror) error {
	q, w := queries(), &work{db: db, rows: locked.rows}
	lockCounts(ctx, w, changed)
	save(ctx, w, changed.Users, userRow, q.SaveUsers)
	save(ctx, w, changed.Memberships, membershipRow, q.SaveMemberships)
	save(ctx, w, changed.Invitations, invitationRow, q.SaveInvitations)
	save(ctx, w, changed.Domains, domainRow, q.SaveDomains)
	save(ctx, w, changed.Permissions, permissionRow, q.SavePermissions)
	save(ctx, w, changed.Roles, roleRow, q.SaveRoles)
	save(ctx, w, changed.Organizations, organizationRow, q.SaveOrganizations)
	return w.err
}

// lockCounts locks the counts of members that saving will change, if it may change counts more than
// once: for users who are refused now or no longer, for changed memberships, and for added ones.
// Each time they are locked in order, and so must they be all together.
func lockCounts(ctx context.Context, w *work, changed clerksync.Mirror) {
	var p dbsqlc.LockMemberCountsParams
	kinds := map[string]bool{}
	for id, u := range changed.Users {
		refused := clerksync.UserStatus{Dead: u.Tombstone.Dead(), Banned: u.Banned.Value, Deprovisioned: u.Deprovisioned.Value}.Refusal() != ""
		p.UserIds, p.Refused = append(p.UserIds, id), append(p.Refused, refused)
		if refused || w.rows[id] {
			kinds["account"] = true
		}
	}
	for id, m := range changed.Memberships {
		p.OrganizationIds = append(p.OrganizationIds, m.OrganizationID)
		if w.rows[id] {
			kinds["changed"] = true
		} else {
			kinds["added"] = true
		}
	}
	if len(kinds) < 2 {
		return
	}
	if err := queries().LockMemberCounts(ctx, w.db, p); err != nil {
		w.err = fmt.Errorf("lock counts of members: %w", err)
	}
}

// rowsToSave is what each save query takes: lists of rows.
type rowsToSave interface {
	~struct {
		Added   json.RawMessage `json:"added"`
		Changed json.RawMessage `json:"changed"`
	}
}

// save writes objects of one kind with one statement, in the order of ids.
func save[T, R any, P rowsToSave](ctx context.Context, w *work, objects map[string]T,
	row func(T) (R, error), query func(context.Context, DBTX, P) (int64, error),
) {
	if len(objects) == 0 || w.err != nil {
		return
	}
	added, changed := []R{}, []R{}
	for _, id := range ids(objects) {
		r, err := row(objects[id])
		switch {
		case err != nil:
			w.err = fmt.Errorf("write %s: %w", id, err)
			return
		case w.rows[id]:
			changed = append(changed, r)
		default:
			added = append(added, r)
		}
	}
	params, err := paramsOf[P](added, changed)
	if err != nil {
		w.err = err
		return
	}
	n, err := query(ctx, w.db, params)
	if err == nil && n < int64(len(added)) {
		err = ErrRaced
	}
	if err != nil {
		w.err = fmt.Errorf("save mirror: %w", err)
	}
}

func paramsOf[P rowsToSave, R any](added, changed []R) (P, error) {
	addedJSON, err := json.Marshal(added)
	if err != nil {
		return P{}, fmt.Errorf("write added rows: %w", err)
	}
	changedJSON, err := json.Marshal(changed)
	if err != nil {
		return P{}, fmt.Errorf("write changed rows: %w", err)
	}
	return P{Added: addedJSON, Changed: changedJSON}, nil
}
