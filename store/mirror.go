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

// Has reports whether an object had a row.
func (l Locked) Has(id string) bool { return l.rows[id] }

// LockMirror returns what the mirror knows of the objects of the facts, and locks their rows until
// the transaction ends. An object without a row can't be locked: see [ErrRaced]. All transactions
// take locks in one order (see queries/mirror.sql), so that they can't deadlock.
func LockMirror(ctx context.Context, db DBTX, facts []clerksync.Facts) (Locked, error) {
	return lockMirror(ctx, db, facts, wantedBy(facts))
}

// Lock is [LockMirror] after [ReadMirror] of the same objects. It asks only for those that had a
// row then: most objects of a first sweep have none.
func (l Locked) Lock(ctx context.Context, db DBTX, facts []clerksync.Facts) (Locked, error) {
	wanted := wantedBy(facts)
	onlyIn(l.rows, wanted.Users)
	onlyIn(l.rows, wanted.Memberships)
	onlyIn(l.rows, wanted.Invitations)
	onlyIn(l.rows, wanted.Domains)
	onlyIn(l.rows, wanted.Permissions)
	onlyIn(l.rows, wanted.Roles)
	onlyIn(l.rows, wanted.Organizations)
	return lockMirror(ctx, db, facts, wanted)
}

// onlyIn leaves in wanted only the objects that have a row.
func onlyIn[T any](rows map[string]bool, wanted map[string]T) {
	maps.DeleteFunc(wanted, func(id string, _ T) bool { return !rows[id] })
}

func lockMirror(ctx context.Context, db DBTX, facts []clerksync.Facts, wanted clerksync.Mirror) (Locked, error) {
	known := Locked{Mirror: clerksync.NewMirror(), rows: map[string]bool{}}
	if err := known.settle(ctx, db, facts, wanted); err != nil {
		return known, err
	}
	var p pipeline
	lock(&p, known.rows, wanted.Users, known.Users, dbsqlc.LockUsers, userOf)
	lock(&p, known.rows, wanted.Memberships, known.Memberships, dbsqlc.LockMemberships, membershipOf)
	lock(&p, known.rows, wanted.Invitations, known.Invitations, dbsqlc.LockInvitations, invitationOf)
	lock(&p, known.rows, wanted.Domains, known.Domains, dbsqlc.LockDomains, domainOf)
	lock(&p, known.rows, wanted.Permissions, known.Permissions, dbsqlc.LockPermissions, permissionOf)
	lock(&p, known.rows, wanted.Roles, known.Roles, dbsqlc.LockRoles, roleOf)
	lock(&p, known.rows, wanted.Organizations, known.Organizations, dbsqlc.LockOrganizations, organizationOf)
	if err := p.run(ctx, db); err != nil {
		return known, fmt.Errorf("lock mirror: %w", err)
	}
	return known, nil
}

// ReadMirror is [LockMirror] without a lock: its result is out of date as soon as another
// transaction commits.
func ReadMirror(ctx context.Context, db DBTX, facts []clerksync.Facts) (Locked, error) {
	wanted := wantedBy(facts)
	known := Locked{Mirror: clerksync.NewMirror(), rows: map[string]bool{}}
	var p pipeline
	lock(&p, known.rows, wanted.Users, known.Users, dbsqlc.ReadUsers, userOf)
	lock(&p, known.rows, wanted.Memberships, known.Memberships, dbsqlc.ReadMemberships, membershipOf)
	lock(&p, known.rows, wanted.Invitations, known.Invitations, dbsqlc.ReadInvitations, invitationOf)
	lock(&p, known.rows, wanted.Domains, known.Domains, dbsqlc.ReadDomains, domainOf)
	lock(&p, known.rows, wanted.Permissions, known.Permissions, dbsqlc.ReadPermissions, permissionOf)
	lock(&p, known.rows, wanted.Roles, known.Roles, dbsqlc.ReadRoles, roleOf)
	lock(&p, known.rows, wanted.Organizations, known.Organizations, dbsqlc.ReadOrganizations, organizationOf)
	if err := p.run(ctx, db); err != nil {
		return known, fmt.Errorf("read mirror: %w", err)
	}
	return known, nil
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

// settle reads stubs without a lock, and removes two sorts of them from wanted. Stubs that change
// nothing will change nothing later either, because versions only grow. If they were locked, every
// membership event of an organization would wait for the event before it. Stubs without a row have
// nothing to lock; [ErrRaced] says if another writer adds it first.
func (l Locked) settle(ctx context.Context, db DBTX, facts []clerksync.Facts, wanted clerksync.Mirror) error {
	subjects := make(map[string]bool, len(facts)) // ids that the facts are about; all others are of stubs
	for _, f := range facts {
		subjects[f.Subject] = true
	}
	var p pipeline
	readStubs(&p, subjects, wanted.Users, l.Users, dbsqlc.ReadUsers, userOf)
	readStubs(&p, subjects, wanted.Permissions, l.Permissions, dbsqlc.ReadPermissions, permissionOf)
	readStubs(&p, subjects, wanted.Organizations, l.Organizations, dbsqlc.ReadOrganizations, organizationOf)
	if err := p.run(ctx, db); err != nil {
		return fmt.Errorf("read stubs: %w", err)
	}
	return nil
}

// readStubs reads the stubs of one kind. It moves those that change nothing from wanted to known,
// and leaves in wanted only those that have a row.
func readStubs[T mergeable[T], R any](p *pipeline, subjects map[string]bool, wanted, known map[string]T,
	sql string, object func(R) (T, error),
) {
	stubs := maps.Clone(wanted)
	maps.DeleteFunc(stubs, func(id string, _ T) bool { return subjects[id] })
	find(p, stubs, sql, object, func(before T) {
		id := before.ObjectID()
		if before.Known() && reflect.DeepEqual(before, before.Merge(stubs[id])) {
			known[id] = before
			return
		}
		wanted[id] = stubs[id]
	})
	maps.DeleteFunc(wanted, func(id string, _ T) bool { return !subjects[id] }) // before the rows are read
}

// mergeable is an object of the mirror.
type mergeable[T any] interface {
	clerksync.Object
	Merge(in T) T
}

// lock locks the rows of the wanted objects of one kind, notes their ids in rows, and adds the
// known objects to known. A row may have no known object: earlier versions left such rows.
func lock[T clerksync.Object, R any](p *pipeline, rows map[string]bool, wanted, known map[string]T,
	sql string, object func(R) (T, error),
) {
	find(p, wanted, sql, object, func(o T) {
		rows[o.ObjectID()] = true
		if o.Known() {
			known[o.ObjectID()] = o
		}
	})
}

// find adds a query for the wanted objects of one kind, unless there are none.
func find[T clerksync.Object, R any](p *pipeline, wanted map[string]T, sql string, object func(R) (T, error), found func(T)) {
	if len(wanted) == 0 {
		return
	}
	query(p, sql, func(row R) error {
		o, err := object(row)
		if err != nil {
			return fmt.Errorf("read %s: %w", o.ObjectID(), err)
		}
		found(o)
		return nil
	}, ids(wanted))
}

func ids[T any](objects map[string]T) []string { return slices.Sorted(maps.Keys(objects)) }
