// Package replica answers reads from streaming replicas, as far as they are proven to be up to
// date.
//
// It guarantees that an answer of a replica lacks nothing that was committed on the primary more
// than [Config.MaxLag] before the answer arrived. Whatever can't be proven is for the primary: the
// caller of [Replica.Read] asks it then.
//
// # The bound
//
// Let P be the instant before this process wrote a number on the primary: a pulse. What was
// committed before P comes before the pulse in the WAL. A replica that shows the pulse shows all of
// it. So an answer that arrives at A lacks at most what was committed after P, and A - P is all
// there is to bound:
//
//   - A pulse is written five times within MaxLag, on a session of its own.
//   - A statement may begin by a pulse as long as a fifth of MaxLag is left of it, because an
//     answer that comes too late is of no use.
//   - An answer counts only if it is complete before P + MaxLag. The time of the proof, of the
//     query and of the network is in that.
//   - A request that reads several times is bounded by its oldest pulse ([Request.Answered]).
//
// How far a replica had come at the last look only says by which pulse it is asked. It proves
// nothing: an address may lead to another server by now. The proof is a statement before each
// statement, on the same session and in the same round trip. It reads the newest pulse that the
// server shows; then the statement takes its snapshot ([pgpool.QueryProven]).
//
// # Why a pulse, and no position in the WAL
//
// Positions are of one timeline, and a replica tells no ordinary role which one it replays. Let a
// replica be promoted while its primary goes on, and another replica follow it: soon that one has
// replayed more than the old primary has written, and lacks its newest commits. Until somebody
// notes the failover, nothing else tells the two apart. A pulse is data: whoever shows it has it
// from the server on which it was written.
//
// While the primary's own server isn't the one that its tables name, nothing is written or heard,
// and no replica answers.
//
// # Clocks
//
// Only this process's clock counts, and of its monotonic and its wall clock the one by which more
// time has passed: the monotonic one may stand still while a machine sleeps.
package replica
