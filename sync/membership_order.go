package sync

// Clerk has at most one membership of a user in an organization at a time, so of all that the
// mirror knows of a pair the last one counts, also if it has ended. The last one is the one that
// was created last. The dates of two of Clerk's machines may contradict each other, though. Then a
// membership counts all the same that is known to have been alive clearly after the end of each one
// that is dated later: a signed event showed it, or a look-up that proves it. The views
// current_memberships and effective_memberships say all of this in SQL.

// aliveMargin is by how much a membership must have outlived another one's end, in milliseconds:
// more than the clocks of Clerk's machines and the stamping of its events differ by.
const aliveMargin = int64(100)

// Follows reports whether an answer of Clerk's API that shows m proves that m came after ended, a
// membership of the same pair with a later date. settled says that the end has been known here for
// longer than Clerk's reads lag behind.
//
// An answer may be older than the end, and show a membership from before. So what shows m must be
// dated after the end, or the two dates must be so close that clocks explain them, or the end must
// be settled.
func (m Membership) Follows(ended Membership, settled bool) bool {
	end := ended.Tombstone.OccurredAt
	if !ended.Tombstone.Final() { // a read found it, which says only when it was asked
		end = ended.CreatedAt.Value
	}
	newest := Newest(m.Registers())
	return settled || newest.UpdatedAt > end && !newest.Undated || m.CreatedAt.Value+aliveMargin >= ended.CreatedAt.Value
}
