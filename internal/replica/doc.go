// Package replica answers reads from streaming replicas, as far as they are proven to be up to
// date.
//
// It guarantees that an answer of a replica lacks nothing that was committed on the primary more
// than [Config.MaxLag] before the answer arrived. Whatever can't be proven is for the primary: the
// caller of [Replica.Read] asks it then.
//
// # The bound
//
// Let P be the instant before this process asked the primary for its position, which is the end of
// the WAL that is on disk: what was committed before P is below that position. A replica that has
// replayed the position shows all of it. So an answer that arrives at A lacks at most what was
// committed after P, and A - P is all there is to bound:
//
//   - A position is heard five times within MaxLag, on a session of its own.
//   - A statement may begin by a position as long as a fifth of MaxLag is left of it, because an
//     answer that comes too late is of no use.
//   - An answer counts only if it is complete before P + MaxLag. The time of the proof, of the
//     query and of the network is in that.
//   - A request that reads several times is bounded by its oldest position ([Request.Answered]).
//
// How far a replica had come at the last look only says by which position it is asked. It proves
// nothing: an address may lead to another server by now. The proof is a statement before each
// statement, on the same session and in the same round trip. It reads how far the server has
// replayed; then the statement takes its snapshot ([pgpool.QueryProven]).
//
// # The history
//
// Positions are of one history. After a failover, a replica of the old primary may have a higher
// position than the new primary. So the primary names its history with its position, and the proof
// compares it with the one in the replica's tables, which is replayed like all else. While the
// primary's own server isn't the one that its tables name, nothing is heard, and no replica
// answers.
//
// # Clocks
//
// Only this process's clock counts, and of its monotonic and its wall clock the one by which more
// time has passed: the monotonic one may stand still while a machine sleeps.
package replica
