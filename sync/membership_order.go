package sync

// Clerk has at most one membership of a user in an organization at a time, so of all that the mirror knows of a pair the
// last one counts, also if it has ended. The last one is the one with the greatest of CreatedAt and AliveAt: the views
// current_memberships and effective_memberships say it in SQL. The dates of two of Clerk's machines may contradict each
// other, and then a signed event, or a look-up, about the membership that follows says which one that is.

// Follows reports whether an answer of Clerk's API that shows m proves that m came after ended, a membership of the same
// pair with a later date. settled says that the end has been known here for longer than Clerk's reads lag behind.
//
// An answer may be older than the end, and show a membership from before. So what shows m must be dated after the end, or
// the two dates must be so close that clocks explain them, or the end must be settled.
func (m Membership) Follows(ended Membership, settled bool) bool {
	end := ended.Tombstone.OccurredAt
	if !ended.Tombstone.Final() { // a read found it, which says only when it was asked
		end = ended.CreatedAt.Value
	}
	newest := Newest(m.Registers())
	return settled || newest.UpdatedAt > end && !newest.Undated || m.CreatedAt.Value+ClockError >= ended.CreatedAt.Value
}

// rank is what memberships of a pair are ordered by.
func (m Membership) rank() int64 { return max(m.CreatedAt.Value, m.AliveAt) }

// AliveAfter returns the facts about a membership with the word that it was alive at an instant, and later than others of
// its pair began, so that it counts.
func (f Facts) AliveAfter(at int64, ended ...Membership) Facts {
	memberships := make([]Membership, len(f.Memberships))
	for i, m := range f.Memberships {
		m.AliveAt = at
		for _, e := range ended {
			m.AliveAt = max(m.AliveAt, e.rank()+1)
		}
		memberships[i] = m
	}
	f.Memberships = memberships
	return f
}
