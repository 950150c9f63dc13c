// Package lookup asks Clerk about single users at the moment at which the answer matters, and
// brings it into the mirror: a user who has just joined is here before the webhook is. [Lookups]
// decides who is looked up, and [Refresher] asks and merges.
//
// It guarantees that requests which wait for the same look-up share one, that neither a user nor an
// outage of Clerk makes the service ask without bound, that no request waits longer than a second,
// and that a look-up never lifts a tombstone: right after a removal, Clerk may still show the
// member.
package lookup
