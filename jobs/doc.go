// Package jobs is everything in Rolecall that knows River: the inbox that commits deliveries together with the jobs
// that apply them, the workers that apply them, and the taking over of what a dead process left behind.
//
// It guarantees that a delivery which [Inbox.Accept] acknowledged is in the ledger together with a job that will
// apply it, that it is applied exactly once, and that one which can't be applied stops no other.
package jobs
