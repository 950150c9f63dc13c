package store

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Locked is what [LockMirror] found. Facts may be applied to its Mirror; the set of locked rows
// stays as it is.
type Locked struct {
	clerksync.Mirror // known objects

	rows map[string]bool // ids of locked rows of all kinds, those without a known object included
}

// LockMirror returns what the mirror knows of the objects of the facts, and locks their rows until
// the transaction ends. An object without a row can't be locked: see [ErrRaced]. All transactions
// take locks in one order (see queries/mirror.sql), so that they can't deadlock.
func LockMirror(ctx context.Context, db DBTX, facts []clerksync.Facts) (Locked, error) {
	wanted := wantedBy(facts)
	known := Locked{Mirror: clerksync.NewMirror(), rows: map[string]bool{}}
	q, w := queries(), &work{db: db, subjects: map[string]bool{}, rows: known.rows}
	for _, f := range facts {
		w.subjects[f.Subject] = true
	}
	settle(ctx, w, wanted.Users, known.Users, q.ReadUsers, userOf)
	settle(ctx, w, wanted.Permissions, known.Permissions, q.ReadPermissions, permissionOf)
	settle(ctx, w, wanted.Organizations, known.Organizations, q.ReadOrganizations, organizationOf)
	lock(ctx, w, wanted.Users, known.Users, q.LockUsers, userOf)
	lock(ctx, w, wanted.Memberships, known.Memberships, q.LockMemberships, membershipOf)
	lock(ctx, w, wanted.Invitations, known.Invitations, q.LockInvitations, invitationOf)
	lock(ctx, w, wanted.Domains, known.Domains, q.LockDomains, domainOf)
	lock(ctx, w, wanted.Permissions, known.Permissions, q.LockPermissions, permissionOf)
	lock(ctx, w, wanted.Roles, known.Roles, q.LockRoles, roleOf)
	lock(ctx, w, wanted.Organizations, known.Organizations, q.LockOrganizations, organizationOf)
	return known, w.err
}

// ReadMirror is [LockMirror] without a lock: its result is out of date as soon as another
// transaction commits.
func ReadMirror(ctx context.Context, db DBTX, facts []clerksync.Facts) (Locked, error) {
	wanted := wantedBy(facts)
	known := Locked{Mirror: clerksync.NewMirror(), rows: map[string]bool{}}
	q, w := queries(), &work{db: db, rows: known.rows}
	lock(ctx, w, wanted.Users, known.Users, q.ReadUsers, userOf)
	lock(ctx, w, wanted.Memberships, known.Memberships, q.ReadMemberships, membershipOf)
	lock(ctx, w, wanted.Invitations, known.Invitations, q.ReadInvitations, invitationOf)
	lock(ctx, w, wanted.Domains, known.Domains, q.ReadDomains, domainOf)
	lock(ctx, w, wanted.Permissions, known.Permissions, q.ReadPermissions, permissionOf)
	lock(ctx, w, wanted.Roles, known.Roles, q.ReadRoles, roleOf)
	lock(ctx, w, wanted.Organizations, known.Organizations, q.ReadOrganizations, organizationOf)
	return known, w.err
}

// EndedAfter returns the memberships that have ended and hide one of the same pair that Clerk
// showed, by the id of the shown one. A shown membership that has ended here is left out, unless a
// look-up has just found it alive.
func EndedAfter(ctx context.Context, db DBTX, shown []clerksync.Membership) (map[string][]clerksync.Membership, error) {
	var p dbsqlc.EndedAfterParams
	for _, m := range shown {
		p.Ids = append(p.Ids, m.ID)
		p.OrganizationIds = append(p.OrganizationIds, m.OrganizationID)
		p.UserIds = append(p.UserIds, m.UserID)
		p.CreatedAt = append(p.CreatedAt, time.UnixMilli(m.CreatedAt.Value))
		p.Lifted = append(p.Lifted, m.Tombstone.LiftedAt != 0)
	}
	rows, err := queries().EndedAfter(ctx, db, p)
	if err != nil {
		return nil, fmt.Errorf("read memberships that ended: %w", err)
	}
	ended := map[string][]clerksync.Membership{}
	for _, r := range rows {
		m := clerksync.Membership{
			Reference: clerksync.Reference{ID: r.ID}, AliveAt: millis(r.AliveAt),
			Tombstone: tombstone(r.DeletedAt, r.DeletedCause, r.DeletedReceivedAt, nil),
		}
		m.CreatedAt.Value = r.CreatedAt.UnixMilli()
		ended[r.ShownID] = append(ended[r.ShownID], m)
	}
	return ended, nil
}

// LiveMates returns the ids of the other live memberships of a pair, in order.
func LiveMates(ctx context.Context, db DBTX, ended clerksync.Reference) ([]string, error) {
	ids, err := queries().LiveMates(ctx, db, dbsqlc.LiveMatesParams{
		OrganizationID: ended.OrganizationID, UserID: ended.UserID, ExceptID: ended.ID,
	})
	if err != nil {
		return nil, fmt.Errorf("read memberships of a pair: %w", err)
	}
	return ids, nil
}

// wantedBy returns every object that facts are about, including stubs of which only the id is
// known.
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
	rows     map[string]bool // ids of the rows that are locked
	err      error
}

// settle reads stubs without a lock. Stubs that change nothing are removed from wanted: they will
// change nothing later either, because versions only grow. If stubs were locked, every membership
// event of an organization would wait for the event before it.
func settle[T mergeable[T], R any](ctx context.Context, w *work, wanted, known map[string]T,
	query func(context.Context, DBTX, []string) ([]R, error), object func(R) (T, error),
) {
	stubs := maps.Clone(wanted)
	maps.DeleteFunc(stubs, func(id string, _ T) bool { return w.subjects[id] })
	read := map[string]T{}
	find(ctx, w, stubs, query, object, func(o T) { read[o.ObjectID()] = o })
	for id, stub := range stubs {
		if before, ok := read[id]; ok && before.Known() && reflect.DeepEqual(before, before.Merge(stub)) {
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

// lock locks the rows of the wanted objects of one kind, and adds the known objects to known. A row
// may have no known object: earlier versions left such rows.
func lock[T clerksync.Object, R any](ctx context.Context, w *work, wanted, known map[string]T,
	query func(context.Context, DBTX, []string) ([]R, error), object func(R) (T, error),
) {
	find(ctx, w, wanted, query, object, func(o T) {
		w.rows[o.ObjectID()] = true
		if o.Known() {
			known[o.ObjectID()] = o
		}
	})
}

// find runs a query for the wanted objects of one kind.
func find[T clerksync.Object, R any](ctx context.Context, w *work, wanted map[string]T,
	query func(context.Context, DBTX, []string) ([]R, error), object func(R) (T, error), found func(T),
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
		found(o)
	}
}

func ids[T any](objects map[string]T) []string { return slices.Sorted(maps.Keys(objects)) }
