// Package sweep compares the mirror with everything that Clerk lists, and repairs it. A backfill is
// the first sweep.
//
// It guarantees that
//
//   - a sweep gives no object a tombstone before its listing is complete, or after a guard stopped
//     it;
//   - an object gets a tombstone only after a look-up of its own;
//   - an answer that may be older than what is applied here changes nothing, unless an operator
//     trusts Clerk;
//   - a whole sweep that was cut off continues after its last page, within an hour;
//   - one sweep runs at a time on one database.
package sweep
