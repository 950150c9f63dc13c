// Package pgtest gives each test a Postgres database of its own, cloned from a template that is migrated once.
//
// It guarantees:
//
//   - A package whose tests ask for no database pays nothing: the server starts at the first [New], one per test process,
//     and is stopped at the end of [Main].
//   - Tests share no data, so they may all run in parallel. A passed test's database is dropped; a failed one's is kept, and
//     the test's log has its name and the command that opens it. (After a panic or a time-out the data is lost: nobody is
//     left to move it out of memory.)
//   - DATABASE_URL is never looked at: it is where a developer's data is. Where no server can be started, set
//     ROLECALL_TEST_DATABASE_URL to a URL whose role may create databases; only databases named rolecall_test_… are
//     created and dropped there, and a killed run leaves its own behind.
//   - Goroutines that outlive the tests fail the run.
//
// Why not github.com/peterldowns/pgtestdb, which has the same idea: it remembers templates by their hash alone, so a fast and
// a durable server in one process would be given each other's; and it leaves no choice of how Postgres copies, of which
// FILE_COPY takes a quarter of the time where fsync is off. Two hundred tests took it 7 to 11 s where this takes 3 to 5.
package pgtest
