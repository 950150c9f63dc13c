// Package merge is the one transaction in which facts from Clerk enter the mirror. [Deliveries]
// merges those of webhooks, and [Observation] those of Clerk's API. Each reads, compares, locks,
// merges, saves and finishes. Package sync decides what is newer, and package store has the SQL.
// [Retry] says after which failures a transaction runs again at once. [BlameFor] says whose fault a
// failure is.
//
// It guarantees that mirror, audit log and ledger change together, and that a delivery is applied
// once. If another transaction was first to add an object, that object is never overwritten. The
// caller begins the transaction, and may add to it.
package merge
