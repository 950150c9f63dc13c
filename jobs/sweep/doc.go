// Package sweep compares the mirror with everything that Clerk lists, and repairs it. A backfill is
// the first sweep.
//
// It guarantees that a sweep which was stopped, or which can't rely on what Clerk listed, removes
// nothing; that an object gets a tombstone only after a look-up of its own; that an answer which
// may be older than what is applied here changes nothing; and that a sweep which was cut off
// continues after its last page. One sweep runs at a time on one database.
package sweep
