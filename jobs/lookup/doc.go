// Package lookup asks Clerk about single users at the moment at which the answer matters, and
// brings it into the mirror: a user who has just joined is here before the webhook is. [Lookups]
// decides which users are looked up, and [Refresher] asks and merges.
//
// It guarantees that
//
//   - requests that wait for the same look-up share one;
//   - neither a user nor an outage of Clerk makes the service ask without bound;
//   - no request waits longer than a second;
//   - a look-up never lifts a tombstone: right after a removal, Clerk may still show the member.
package lookup
