package sync

import "cmp"

// FeedChange is what the change feed tells of an entry of the audit log. Texts are "" for null.
type FeedChange struct {
	Kind           Action
	OrganizationID string // "" for changes of the whole instance
	UserID         string // whom a change of a member or of a user is about
	MembershipID   string // of a change of a member; "" if an old entry doesn't say it
	Role           string // that the member, the invitation or the role has since then, or had last
	Target         string // id of the changed object; of the user for members; what a product named for its own entries

	// What has been so of a user since then; nil if the entry doesn't say it.
	Deleted, Banned, Deprovisioned *bool
}

// FeedChange returns what the feed tells of the entry. Of details that Rolecall never records, it
// tells nothing: only a forger writes such, and one entry must not hold up the feed.
func (e LoggedEntry) FeedChange() FeedChange {
	c := FeedChange{Kind: e.Action, OrganizationID: e.OrganizationID, Target: e.Target}
	was, _, _ := e.read(e.Before)
	is, _, _ := e.read(e.After)
	switch e.Action.area() {
	case "member":
		c.UserID, c.MembershipID, c.Role = e.Target, cmp.Or(is.MembershipID, was.MembershipID), cmp.Or(is.Role, was.Role)
	case "user":
		c.UserID = e.Target
		c.Deleted, c.Banned, c.Deprovisioned = is.Deleted, is.Banned, is.Deprovisioned
	case "invitation":
		c.Role = is.Role
	case "role":
		c.Role = cmp.Or(is.Key, was.Key)
	}
	return c
}
