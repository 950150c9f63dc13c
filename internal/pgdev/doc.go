// Package pgdev gives development and tests a Postgres of their own.
//
// It guarantees that
//
//   - a given database URL is used as it is: nothing is then started, stopped or created;
//   - otherwise a server starts from the binaries found on this machine, or from fetched ones if
//     there are none. [Server.Description] says in plain words what was found and chosen. An error
//     lists every place that was looked at, and what to do;
//   - no other account can reach the server. It listens on a Unix socket in a folder that only its
//     own account and root may enter. TCP is off unless asked for; then it is loopback only, with a
//     generated password;
//   - the server ends with its owner. [Server.Stop] ends it in order. A killed owner takes it
//     along: on Linux at once, by the kernel's parent-death signal; elsewhere the next [Start] on
//     the same folder ends the orphan;
//   - a data folder has one owner at a time, kept by file locks that vanish with their holders. A
//     crash at any moment, also while the cluster is created, leaves nothing in the way of the next
//     Start;
//   - root never runs Postgres: the server then runs as the account postgres, or else nobody.
//
// Unix only: file locks, signals and sockets have no counterpart on Windows, where a database URL
// must be given.
package pgdev
