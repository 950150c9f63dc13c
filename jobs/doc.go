// Package jobs is everything in Rolecall that knows River: the inbox that commits deliveries together with the jobs
// that apply them, the workers that apply them, and the taking over of what a dead process left behind. Beside them stands
// what else changes the mirror by Clerk's word: sweeps ([Sweeper]), look-ups ([Refresher]) and commands ([Commander]).
//
// It guarantees that a delivery which [Inbox.Accept] acknowledged is in the ledger together with a job that will
// apply it, that it is applied exactly once, and that one which can't be applied stops no other; that a sweep which was stopped
// or can't be relied on removes nothing; and that a command is recorded before Clerk is given it, and answered from the mirror after it.
package jobs
