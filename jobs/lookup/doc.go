// Package lookup asks Clerk about single users at the moment at which the answer matters, and
// brings it into the mirror: a user who has just joined is here before the webhook is.
//
// It guarantees that a look-up never lifts a tombstone: right after a removal, Clerk may still show
// the member.
package lookup
