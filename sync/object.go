package sync

// Object is what all objects of the mirror have in common.
type Object interface {
	// Key returns the id at Clerk.
	Key() string
	// Known reports whether anything is known of the object beyond its id.
	Known() bool
	// AsOf returns when the newest event that the state reflects occurred, in epoch milliseconds.
	AsOf() int64
}

var (
	_ mergeable[Organization] = Organization{}
	_ mergeable[User]         = User{}
	_ mergeable[Membership]   = Membership{}
)

// Key returns the organization's id.
func (o Organization) Key() string { return o.ID }

// Key returns the user's id.
func (u User) Key() string { return u.ID }

// Key returns the membership's id.
func (m Membership) Key() string { return m.ID }

func (o Organization) dead() bool { return o.Tombstone.Dead() }
func (u User) dead() bool         { return u.Tombstone.Dead() }
func (m Membership) dead() bool   { return m.Tombstone.Dead() }

// Known implements [Object].
func (o Organization) Known() bool { return known(o.Registers(), o.Tombstone) }

// Known implements [Object].
func (u User) Known() bool { return known(u.Registers(), u.Tombstone) }

// Known implements [Object].
func (m Membership) Known() bool { return known(m.Registers(), m.Tombstone) }

func known(registers []Register, t Tombstone) bool { return t.Dead() || !Newest(registers).IsZero() }

// AsOf implements [Object].
func (o Organization) AsOf() int64 { return asOf(o.Registers(), o.Tombstone) }

// AsOf implements [Object].
func (u User) AsOf() int64 { return asOf(u.Registers(), u.Tombstone) }

// AsOf implements [Object].
func (m Membership) AsOf() int64 { return asOf(m.Registers(), m.Tombstone) }

func asOf(registers []Register, t Tombstone) int64 {
	newest := t.OccurredAt
	for _, r := range registers {
		newest = max(newest, r.Version.OccurredAt)
	}
	return newest
}
