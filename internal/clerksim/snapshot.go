package clerksim

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Snapshot returns a copy of the world as it is now. It serves the same instance with the same
// keys. Afterwards, changes of one of the two don't reach the other. [APIFaults.AnswerFrom] uses it
// to make Clerk's reads lag.
func (w *World) Snapshot() *World {
	w.mu.RLock()
	defer w.mu.RUnlock()
	c := &copier{
		users: map[*user]*user{}, roles: map[*role]*role{}, permissions: map[*permission]*permission{},
		organizations: map[*organization]*organization{}, memberships: map[*membership]*membership{},
	}
	s := &World{
		cfg: w.cfg, keys: w.keys, rng: rand.New(rand.NewPCG(w.cfg.Seed, streamSnapshot)), sequence: w.sequence,
		permissions: copyTable(w.permissions, c.permission), roles: copyTable(w.roles, c.role), users: copyTable(w.users, c.user),
		organizations: copyTable(w.organizations, c.organization), memberships: copyTable(w.memberships, c.membership),
		roleSets: copyTable(w.roleSets, duplicate[roleSet]), sessions: copyTable(w.sessions, c.session),
		plans: slices.Clone(w.plans), features: maps.Clone(w.features),
		slugs: map[string]*organization{}, goneUsers: map[string]User{}, goneOrgs: map[string]Organization{}, outbox: newOutbox(),
	}
	s.invitations, s.domains = newTable[*invitation](), newTable[*domain]()
	for _, o := range w.organizations.ordered {
		c.fill(s, o)
	}
	for _, u := range w.users.ordered {
		c.users[u].memberships = copyTable(u.memberships, func(m *membership) *membership { return c.memberships[m] })
	}
	return s
}

// streamSnapshot is the stream of randomness for changes of a snapshot.
const streamSnapshot = 5

// copier maps each row to its copy.
type copier struct {
	users         map[*user]*user
	roles         map[*role]*role
	permissions   map[*permission]*permission
	organizations map[*organization]*organization
	memberships   map[*membership]*membership
}

func duplicate[T any](row *T) *T { return new(*row) }

// copyTable copies a table's rows, in their order.
func copyTable[R row](t table[R], copied func(R) R) table[R] {
	out := table[R]{byID: make(map[string]R, len(t.byID)), ordered: make([]R, len(t.ordered))}
	for i, r := range t.ordered {
		out.ordered[i] = copied(r)
		out.byID[r.place().id] = out.ordered[i]
	}
	return out
}

func (c *copier) permission(p *permission) *permission {
	c.permissions[p] = duplicate(p)
	return c.permissions[p]
}

func (c *copier) role(r *role) *role {
	copied := duplicate(r)
	copied.permissions = make([]*permission, len(r.permissions))
	for i, p := range r.permissions {
		copied.permissions[i] = c.permissions[p]
	}
	c.roles[r] = copied
	return copied
}

func (c *copier) user(u *user) *user {
	c.users[u] = duplicate(u)
	return c.users[u]
}

func (c *copier) session(s *session) *session {
	copied := duplicate(s)
	if one, lives := c.users[s.user]; lives {
		copied.user = one
	}
	return copied
}

func (c *copier) organization(o *organization) *organization {
	c.organizations[o] = duplicate(o)
	return c.organizations[o]
}

func (c *copier) membership(m *membership) *membership {
	copied := duplicate(m)
	copied.organization, copied.user, copied.role = c.organizations[m.organization], c.users[m.user], c.roles[m.role]
	c.memberships[m] = copied
	return copied
}

// fill copies what an organization has, into its copy and the snapshot.
func (c *copier) fill(s *World, o *organization) {
	copied := c.organizations[o]
	copied.members = copyTable(o.members, func(m *membership) *membership { return c.memberships[m] })
	copied.byUser = make(map[string]*membership, len(o.byUser))
	for id, m := range o.byUser {
		copied.byUser[id] = c.memberships[m]
	}
	copied.pending = map[string]*invitation{}
	invitations := map[*invitation]*invitation{}
	copied.invitations = copyTable(o.invitations, func(i *invitation) *invitation {
		invitations[i] = duplicate(i)
		invitations[i].organization, invitations[i].role = copied, c.roles[i.role]
		s.invitations.insert(invitations[i])
		return invitations[i]
	})
	for address, i := range o.pending {
		copied.pending[address] = invitations[i]
	}
	copied.domains = copyTable(o.domains, func(d *domain) *domain {
		one := duplicate(d)
		one.organization = copied
		s.domains.insert(one)
		return one
	})
	if copied.Slug != "" {
		s.slugs[copied.Slug] = copied
	}
}
