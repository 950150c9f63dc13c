// Package jobs is everything in Rolecall that knows River: the inbox that commits deliveries
// together with the jobs that apply them, the workers that apply them and sweep, and the takeover
// of what a dead process left behind. How a delivery enters the mirror is in package merge, and
// what a sweep does in package sweep.
//
// It guarantees that a delivery which [Inbox.Accept] acknowledged is in the ledger together with a
// job that will apply it, that it is applied exactly once, that one which can't be applied stops no
// other, and that one workspace whose rows are locked holds up no removal in another one.
package jobs
