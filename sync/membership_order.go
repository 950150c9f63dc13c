package sync

// Clerk has at most one membership of a user in an organization at a time. So of all memberships of
// a pair in the mirror, the last one counts, also if it has ended. The last one is the one that was
// created last.
//
// Two of Clerk's machines may date memberships in the wrong order. So a membership also counts if
// it was clearly alive after the end of each membership that is dated later. A signed event shows
// this, or a look-up that proves it (see [Membership.Follows]). The function stale_flags of
// migration 00021 says the same in SQL.

// aliveMargin is how long a membership must have outlived the end of another one, in milliseconds.
// It is more than the differences between the clocks of Clerk's machines and the stamps of its
// events.
const aliveMargin = int64(100)

// Follows reports whether an answer of Clerk's API that shows m proves that m came after ended, a
// membership of the same pair with a later date. settled says that the end has been known here for
// longer than Clerk's reads lag behind.
//
// An answer may be older than the end, and show a membership from before it. So one of three things
// must hold: m is dated after the end, the two dates are so close that clocks explain them, or the
// end is settled.
func (m Membership) Follows(ended Membership, settled bool) bool {
	end := ended.Tombstone.OccurredAt
	if !ended.Tombstone.Final() { // a read found it, which says only when it was asked
		end = ended.CreatedAt.Value
	}
	newest := Newest(m.Registers())
	return settled || newest.UpdatedAt > end && !newest.Undated || m.CreatedAt.Value+aliveMargin >= ended.CreatedAt.Value
}
