// Package pgtest gives each test a Postgres database of its own, cloned from a template that is
// migrated once.
//
// It guarantees that
//
//   - a package whose tests ask for no database pays nothing. The server starts at the first [New],
//     one for each test process, and stops at the end of [Main];
//   - tests share no data, so all of them may run in parallel. A passed test's database is dropped.
//     A failed one's is kept, and the test's log has its name and the command that opens it. After
//     a panic or a time-out the data is lost: no code runs any more that could move it out of
//     memory;
//   - DATABASE_URL is never used: it is where a developer's data is. Where no server can be
//     started, ROLECALL_TEST_DATABASE_URL names one whose role may create databases. Only databases
//     named rolecall_test_… are created and dropped there. A killed run leaves its own behind;
//   - goroutines that outlive the tests fail the run.
//
// Why not github.com/peterldowns/pgtestdb, which has the same idea: it remembers templates by their
// hash alone, so a fast and a durable server in one process would get each other's templates. It
// also leaves no choice of how Postgres copies; FILE_COPY takes a quarter of the time where fsync
// is off. Two hundred tests took 7 to 11 s with it, and take 3 to 5 s with this package.
package pgtest
