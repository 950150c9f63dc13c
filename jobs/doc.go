// Package jobs is everything in Rolecall that knows River. Its inbox commits deliveries together
// with the jobs that apply them. Its workers apply them, sweep, and prune. They also take over the
// deliveries that a dead process left behind. Package merge brings a delivery into the mirror;
// package sweep carries out a sweep.
//
// It guarantees that
//
//   - a delivery which [Inbox.Accept] acknowledged is in the ledger, together with a job that will
//     apply it;
//   - it is applied once, however often its job runs;
//   - if one delivery can't be applied, all others still are;
//   - while rows of one workspace are locked, removals from all others go on.
package jobs
