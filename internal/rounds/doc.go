// Package rounds lets callers share round trips to a database: questions that come while one is
// under way are asked together in the next.
//
// It guarantees that
//
//   - a question is asked after it came: it joins a round that begins later, never one that is
//     under way. So no answer is older than its question;
//   - a question is asked at once, by its own caller, if no round is under way. Else it waits,
//     unless another round is allowed beside those, and is worth it or is due;
//   - a caller who leaves ends no round, because others may share it;
//   - a question that the database refuses fails alone;
//   - the package starts no goroutine. Callers lead the rounds by turns, so that nothing is left
//     to stop once the callers have ended.
package rounds
