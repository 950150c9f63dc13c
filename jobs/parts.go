package jobs

import (
	"context"
	"maps"
	"slices"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// part is a set of deliveries that share workspaces or objects. It shares none with another part,
// so that a lock that holds up one part holds up no other.
type part struct {
	ids  []string        // svix-ids
	keys map[string]bool // ids of the deliveries' subjects, and of the organizations that these concern
	orgs map[string]bool // the organizations among the keys
	rows map[string]bool // ids of the rows that applying them may wait for, beside the organizations'
}

// organizationsIn returns the organizations that facts concern. The facts of a user concern every
// organization that the user is or was a member of. The parameter of has these organizations by
// user.
func organizationsIn(f clerksync.Facts, of map[string][]string) map[string]bool {
	orgs := map[string]bool{}
	for _, m := range f.Memberships {
		orgs[m.OrganizationID] = true
	}
	for _, i := range f.Invitations {
		orgs[i.OrganizationID] = true
	}
	for _, d := range f.Domains {
		orgs[d.OrganizationID] = true
	}
	for _, o := range f.Organizations {
		orgs[o.ID] = true
	}
	for _, id := range of[f.Subject] {
		orgs[id] = true
	}
	delete(orgs, "") // an object whose organization isn't known
	return orgs
}

// rowsOf returns the ids of the rows that applying facts may wait for, beside those of their keys.
func rowsOf(f clerksync.Facts) map[string]bool {
	rows := map[string]bool{}
	for _, u := range f.Users {
		rows[u.ID] = true
	}
	for _, p := range f.Permissions {
		rows[p.ID] = true
	}
	return rows
}

// readSingles returns a part for each of the deliveries that still wait.
func readSingles(ctx context.Context, db store.DBTX, svixIDs []string) ([]part, error) {
	deliveries, err := store.ReadReceived(ctx, db, svixIDs)
	if err != nil {
		return nil, err
	}
	facts := make([]clerksync.Facts, len(deliveries))
	for i, d := range deliveries {
		facts[i] = decodeLeniently(d)
	}
	return singlesOf(ctx, db, deliveries, facts)
}

// decodeLeniently returns the facts of a delivery. If it can't be read, or the mirror doesn't need
// it, its only subject is the delivery itself.
func decodeLeniently(d clerksync.Delivery) clerksync.Facts {
	f, known, err := clerksync.Decode(d)
	if err != nil || !known {
		return clerksync.Facts{Subject: d.ID}
	}
	return f
}

// singlesOf returns a part for each delivery. facts are theirs, in the same order.
func singlesOf(ctx context.Context, db store.DBTX, deliveries []clerksync.Delivery, facts []clerksync.Facts) ([]part, error) {
	of, err := organizationsOf(ctx, db, facts)
	if err != nil {
		return nil, err
	}
	singles := make([]part, len(deliveries))
	for i, d := range deliveries {
		own := part{ids: []string{d.ID}, orgs: organizationsIn(facts[i], of), rows: rowsOf(facts[i])}
		own.rows[d.ID], own.rows[facts[i].Subject] = true, true
		own.keys = maps.Clone(own.orgs)
		own.keys[facts[i].Subject] = true
		singles[i] = own
	}
	return singles, nil
}

// inParts joins the parts that share a key. A part that spans several workspaces is joined only
// with such parts. Otherwise a delivery about a member of two workspaces would hold up one with the
// other.
func inParts(singles []part) []part {
	var local, spanning []part
	for _, own := range singles {
		own = part{ids: slices.Clone(own.ids), keys: maps.Clone(own.keys), orgs: maps.Clone(own.orgs), rows: maps.Clone(own.rows)}
		if own.spans() {
			spanning = join(spanning, own)
		} else {
			local = join(local, own)
		}
	}
	return append(local, spanning...)
}

// spans reports whether the part is about several workspaces.
func (p part) spans() bool { return len(p.orgs) > 1 }

// organizationsOf returns the organizations of the users whom facts are about.
func organizationsOf(ctx context.Context, db store.DBTX, facts []clerksync.Facts) (map[string][]string, error) {
	var users []string
	for _, f := range facts {
		if slices.ContainsFunc(f.Users, func(u clerksync.User) bool { return u.ID == f.Subject }) {
			users = append(users, f.Subject)
		}
	}
	if len(users) == 0 {
		return nil, nil //nolint:nilnil // no user, no organizations
	}
	return store.OrganizationsOfUsers(ctx, db, users)
}

// join adds a part to others. It makes one part of the new one and all that share a key with it.
func join(parts []part, own part) []part {
	apart := parts[:0]
	for _, p := range parts {
		if !p.shares(own) {
			apart = append(apart, p)
			continue
		}
		own.ids = append(p.ids, own.ids...)
		maps.Copy(own.keys, p.keys)
		maps.Copy(own.orgs, p.orgs)
		maps.Copy(own.rows, p.rows)
	}
	return append(apart, own)
}

func (p part) shares(other part) bool {
	for key := range other.keys {
		if p.keys[key] {
			return true
		}
	}
	return false
}

// lockable returns the ids of all rows that the part may wait for.
func (p part) lockable() []string {
	return append(slices.Collect(maps.Keys(p.rows)), slices.Collect(maps.Keys(p.orgs))...)
}

// spanned returns the key of a workspace for parts that span it and others.
func spanned(organization string) string { return "spanned " + organization }

// stallKeys returns the keys by which [stalls] remembers the part. For each workspace of a part
// that spans several, it returns the key that spanned makes. The part may wait although that
// workspace itself isn't held up.
func (p part) stallKeys() []string {
	keys := make([]string, 0, len(p.keys))
	for key := range p.keys {
		if p.spans() && p.orgs[key] {
			key = spanned(key)
		}
		keys = append(keys, key)
	}
	return keys
}

// idsOf returns the svix-ids of parts.
func idsOf(parts []part) []string {
	var ids []string
	for _, p := range parts {
		ids = append(ids, p.ids...)
	}
	return ids
}

// lockableOf returns the ids of all rows that parts may wait for.
func lockableOf(parts []part) []string {
	var ids []string
	for _, p := range parts {
		ids = append(ids, p.lockable()...)
	}
	return ids
}
