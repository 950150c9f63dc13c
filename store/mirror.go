package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// LockMirror returns what the mirror knows of the objects that the facts are about, and locks them until the
// transaction ends, also those of which nothing is known yet. Locks are taken in one order everywhere (users,
// memberships, organizations, each by id), so that two transactions can't deadlock.
func LockMirror(ctx context.Context, db DBTX, facts []clerksync.Facts) (clerksync.Mirror, error) {
	wanted := clerksync.NewMirror()
	for _, f := range facts {
		wanted.Apply(f, clerksync.NewMirror())
	}
	known := clerksync.NewMirror()
	err := lock(known.Users, ids(wanted.Users), userOf, func(ids []string) ([]dbsqlc.RolecallUser, error) {
		return queries().LockUsers(ctx, db, ids)
	})
	if err != nil {
		return known, fmt.Errorf("lock users: %w", err)
	}
	err = lock(known.Memberships, ids(wanted.Memberships), membershipOf, func(ids []string) ([]dbsqlc.RolecallMembership, error) {
		p := dbsqlc.LockMembershipsParams{Ids: ids}
		for _, id := range ids {
			p.OrganizationIds = append(p.OrganizationIds, wanted.Memberships[id].OrganizationID)
			p.UserIds = append(p.UserIds, wanted.Memberships[id].UserID)
		}
		return queries().LockMemberships(ctx, db, p)
	})
	if err != nil {
		return known, fmt.Errorf("lock memberships: %w", err)
	}
	err = lock(known.Organizations, ids(wanted.Organizations), organizationOf, func(ids []string) ([]dbsqlc.RolecallOrganization, error) {
		return queries().LockOrganizations(ctx, db, ids)
	})
	if err != nil {
		return known, fmt.Errorf("lock organizations: %w", err)
	}
	return known, nil
}

// lock runs one lock query and adds those objects of which something is known.
func lock[T clerksync.Object, R any](known map[string]T, ids []string, object func(R) (T, error), query func([]string) ([]R, error)) error {
	if len(ids) == 0 {
		return nil
	}
	rows, err := query(ids)
	if err != nil {
		return err
	}
	for _, row := range rows {
		o, err := object(row)
		if err != nil {
			return fmt.Errorf("read %s: %w", o.Key(), err)
		}
		if o.Known() {
			known[o.Key()] = o
		}
	}
	return nil
}

func ids[T any](objects map[string]T) []string { return slices.Sorted(maps.Keys(objects)) }

// SaveMirror writes objects that [LockMirror] locked, and counts a change for each organization that they concern.
func SaveMirror(ctx context.Context, db DBTX, changed clerksync.Mirror) error {
	users, err := rowsOf(changed.Users, userRow)
	if err != nil {
		return err
	}
	memberships, err := rowsOf(changed.Memberships, membershipRow)
	if err != nil {
		return err
	}
	organizations, err := rowsOf(changed.Organizations, organizationRow)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		if err := execAll(queries().SaveUsers(ctx, db, users)); err != nil {
			return fmt.Errorf("save users: %w", err)
		}
	}
	if len(memberships) > 0 {
		if err := execAll(queries().SaveMemberships(ctx, db, memberships)); err != nil {
			return fmt.Errorf("save memberships: %w", err)
		}
	}
	if len(organizations) > 0 {
		if err := execAll(queries().SaveOrganizations(ctx, db, organizations)); err != nil {
			return fmt.Errorf("save organizations: %w", err)
		}
	}
	return bumpRevisions(ctx, db, changed)
}

// rowsOf turns objects into rows in the order of ids.
func rowsOf[T, R any](objects map[string]T, row func(T) (R, error)) ([]R, error) {
	rows := make([]R, 0, len(objects))
	for _, id := range ids(objects) {
		r, err := row(objects[id])
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", id, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// execAll runs every statement of a batch and returns their errors.
func execAll(batch interface{ Exec(func(int, error)) }) error {
	var errs []error
	batch.Exec(func(_ int, err error) { errs = append(errs, err) })
	return errors.Join(errs...)
}

// bumpRevisions counts one change for each organization that a changed object concerns: a user's, for every
// organization that the user is or was in.
func bumpRevisions(ctx context.Context, db DBTX, changed clerksync.Mirror) error {
	asOf := map[string]int64{}
	for id, o := range changed.Organizations {
		asOf[id] = max(asOf[id], o.AsOf())
	}
	for _, m := range changed.Memberships {
		asOf[m.OrganizationID] = max(asOf[m.OrganizationID], m.AsOf())
	}
	var p dbsqlc.BumpRevisionsParams
	for _, id := range ids(asOf) {
		p.OrganizationIds = append(p.OrganizationIds, id)
		p.AsOf = append(p.AsOf, time.UnixMilli(asOf[id]))
	}
	for _, id := range ids(changed.Users) {
		p.UserIds = append(p.UserIds, id)
		p.UserAsOf = append(p.UserAsOf, time.UnixMilli(changed.Users[id].AsOf()))
	}
	if len(p.OrganizationIds)+len(p.UserIds) == 0 {
		return nil
	}
	if err := queries().BumpRevisions(ctx, db, p); err != nil {
		return fmt.Errorf("count changes: %w", err)
	}
	return nil
}
