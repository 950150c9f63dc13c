package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// LockMirror returns what the mirror knows of the objects that the facts are about, and locks them until the
// transaction ends, also those of which nothing is known yet. Locks are taken in one order everywhere (see
// queries/mirror.sql), so that two transactions can't deadlock.
func LockMirror(ctx context.Context, db DBTX, facts []clerksync.Facts) (clerksync.Mirror, error) {
	wanted := wantedBy(facts)
	known := clerksync.NewMirror()
	q, w := queries(), &work{db: db, subjects: map[string]bool{}}
	for _, f := range facts {
		w.subjects[f.Subject] = true
	}
	settle(ctx, w, wanted.Users, known.Users, q.ReadUsers, userOf)
	settle(ctx, w, wanted.Permissions, known.Permissions, q.ReadPermissions, permissionOf)
	settle(ctx, w, wanted.Organizations, known.Organizations, q.ReadOrganizations, organizationOf)
	lock(ctx, w, wanted.Users, known.Users, q.LockUsers, userOf)
	lock(ctx, w, wanted.Memberships, known.Memberships, func(ctx context.Context, db DBTX, ids []string) ([]dbsqlc.RolecallMembership, error) {
		p := dbsqlc.LockMembershipsParams{Ids: ids}
		for _, id := range ids {
			p.OrganizationIds = append(p.OrganizationIds, wanted.Memberships[id].OrganizationID)
			p.UserIds = append(p.UserIds, wanted.Memberships[id].UserID)
		}
		return q.LockMemberships(ctx, db, p)
	}, membershipOf)
	lock(ctx, w, wanted.Invitations, known.Invitations, q.LockInvitations, invitationOf)
	lock(ctx, w, wanted.Domains, known.Domains, q.LockDomains, domainOf)
	lock(ctx, w, wanted.Permissions, known.Permissions, q.LockPermissions, permissionOf)
	lock(ctx, w, wanted.Roles, known.Roles, q.LockRoles, roleOf)
	lock(ctx, w, wanted.Organizations, known.Organizations, q.LockOrganizations, organizationOf)
	return known, w.err
}

// wantedBy names every object that facts are about, stubs of which only the id is known included.
func wantedBy(facts []clerksync.Facts) clerksync.Mirror {
	wanted := clerksync.NewMirror()
	for _, f := range facts {
		want(wanted.Users, f.Users)
		want(wanted.Memberships, f.Memberships)
		want(wanted.Invitations, f.Invitations)
		want(wanted.Domains, f.Domains)
		want(wanted.Permissions, f.Permissions)
		want(wanted.Roles, f.Roles)
		want(wanted.Organizations, f.Organizations)
	}
	return wanted
}

func want[T mergeable[T]](wanted map[string]T, said []T) {
	for _, o := range said {
		wanted[o.ObjectID()] = wanted[o.ObjectID()].Merge(o)
	}
}

// work is a sequence of statements that ends at the first error.
type work struct {
	db       DBTX
	subjects map[string]bool // ids that the deliveries are about; all others are of stubs
	err      error
}

// settle reads stubs without a lock, and takes out of wanted those that change nothing: versions only grow, so what is
// known now is known for ever. Else every membership event of an organization would wait for the one before.
func settle[T mergeable[T], R any](ctx context.Context, w *work, wanted, known map[string]T,
	query func(context.Context, DBTX, []string) ([]R, error), object func(R) (T, error),
) {
	stubs := maps.Clone(wanted)
	maps.DeleteFunc(stubs, func(id string, _ T) bool { return w.subjects[id] })
	read := map[string]T{}
	lock(ctx, w, stubs, read, query, object)
	for id, stub := range stubs {
		if before, ok := read[id]; ok && reflect.DeepEqual(before, before.Merge(stub)) {
			known[id] = before
			delete(wanted, id)
		}
	}
}

// mergeable is an object of the mirror.
type mergeable[T any] interface {
	clerksync.Object
	Merge(in T) T
}

// lock runs a query for the wanted objects of one kind, and adds those of which something is known.
func lock[T clerksync.Object, R any](ctx context.Context, w *work, wanted, known map[string]T,
	query func(context.Context, DBTX, []string) ([]R, error), object func(R) (T, error),
) {
	if len(wanted) == 0 || w.err != nil {
		return
	}
	rows, err := query(ctx, w.db, ids(wanted))
	if err != nil {
		w.err = fmt.Errorf("lock mirror: %w", err)
		return
	}
	for _, row := range rows {
		o, err := object(row)
		if err != nil {
			w.err = fmt.Errorf("read %s: %w", o.ObjectID(), err)
			return
		}
		if o.Known() {
			known[o.ObjectID()] = o
		}
	}
}

func ids[T any](objects map[string]T) []string { return slices.Sorted(maps.Keys(objects)) }

// SaveMirror writes objects that [LockMirror] locked.
func SaveMirror(ctx context.Context, db DBTX, changed clerksync.Mirror) error {
	q, w := queries(), &work{db: db}
	save(ctx, w, changed.Users, userRow, q.SaveUsers)
	save(ctx, w, changed.Memberships, membershipRow, q.SaveMemberships)
	save(ctx, w, changed.Invitations, invitationRow, q.SaveInvitations)
	save(ctx, w, changed.Domains, domainRow, q.SaveDomains)
	save(ctx, w, changed.Permissions, permissionRow, q.SavePermissions)
	save(ctx, w, changed.Roles, roleRow, q.SaveRoles)
	save(ctx, w, changed.Organizations, organizationRow, q.SaveOrganizations)
	return w.err
}

// save writes objects of one kind in the order of ids.
func save[T, R any, B interface{ Exec(func(int, error)) }](ctx context.Context, w *work, objects map[string]T,
	row func(T) (R, error), query func(context.Context, DBTX, []R) B,
) {
	if len(objects) == 0 || w.err != nil {
		return
	}
	rows := make([]R, 0, len(objects))
	for _, id := range ids(objects) {
		r, err := row(objects[id])
		if err != nil {
			w.err = fmt.Errorf("write %s: %w", id, err)
			return
		}
		rows = append(rows, r)
	}
	if err := execAll(query(ctx, w.db, rows)); err != nil {
		w.err = fmt.Errorf("save mirror: %w", err)
	}
}

// execAll runs every statement of a batch and returns the first error, which makes the others fail.
func execAll(batch interface{ Exec(func(int, error)) }) (first error) {
	batch.Exec(func(_ int, err error) { first = cmp.Or(first, err) })
	return first
}
