// Package lookup asks Clerk about single users at the moment at which the answer matters, and
// brings the answers into the mirror. So a user who has just joined is admitted before the webhook
// arrives. [Lookups] decides which users are looked up, and [Refresher] asks and merges.
//
// It guarantees that
//
//   - requests that need the same look-up share one;
//   - the number of look-ups stays bounded, also for one user and during an outage of Clerk;
//   - no request waits longer than [Config].Timeout, a second by default;
//   - a look-up never lifts a tombstone: right after a removal, Clerk may still show the member.
package lookup
