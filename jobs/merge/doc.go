// Package merge is the one transaction in which Clerk's word enters the mirror: as [Deliveries], or
// as an [Observation] of Clerk's API. It reads, compares, locks, merges, saves and finishes.
// Package sync decides what is newer, and package store has the SQL. [Retry] says for which failures
// a transaction runs again at once, and [BlameFor] whose fault a failure is.
//
// It guarantees that mirror, audit log and ledger change together, and that a delivery is applied
// once. An object that another transaction was first to add is never written over. The caller
// begins the transaction, and may add to it.
package merge
