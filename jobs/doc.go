// Package jobs is everything in Rolecall that knows River. Its inbox commits deliveries together
// with the jobs that apply them. Its workers apply them, sweep, and prune. It takes over what a
// dead process left behind. How a delivery enters the mirror is in package merge, and what a sweep
// does in package sweep.
//
// It guarantees that
//
//   - a delivery which [Inbox.Accept] acknowledged is in the ledger, together with a job that will
//     apply it;
//   - it is applied once, however often its job runs;
//   - a delivery that can't be applied stops no other;
//   - a workspace whose rows are locked holds up no removal in another one.
package jobs
