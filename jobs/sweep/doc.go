// Package sweep compares the mirror with everything that Clerk lists, and repairs it. A backfill is
// the first sweep.
//
// It guarantees that
//
//   - a sweep sets tombstones only after its whole listing is complete, and none after a guard has
//     stopped it;
//   - an object gets a tombstone only after a look-up of its own;
//   - an answer that may be older than what is applied here changes nothing, unless an operator
//     trusts Clerk;
//   - a full sweep that was interrupted continues after its last page, unless that is an hour old;
//   - one sweep runs at a time on one database.
package sweep
