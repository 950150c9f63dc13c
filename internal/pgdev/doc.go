// Package pgdev gives development and tests a Postgres of their own.
//
// It guarantees:
//
//   - A database URL that was given is used as it is; nothing is then started, stopped or created.
//   - Otherwise a server is started from the binaries found on this machine, or fetched if there are none, and
//     [Server.Description] says in plain words what was found and chosen. An error lists every place looked at and what to do.
//   - Nobody else can reach the server: it listens on a Unix socket in a folder that only its own account (and root) may
//     enter. TCP is off unless asked for, and then it is loopback only and wants a generated password.
//   - The server ends with its owner. [Server.Stop] ends it in order; an owner killed with SIGKILL takes it along (on Linux at
//     once, by the kernel's parent-death signal; elsewhere the next [Start] on the same folder ends the orphan).
//   - A data folder has one owner at a time, kept by file locks that vanish with their holders, so a crash at any moment,
//     also in the middle of creating the cluster, leaves nothing that the next Start would stumble over.
//   - Root never runs Postgres: the server runs as postgres, else as nobody.
//
// Unix only: file locks, signals and sockets have no counterpart on Windows, where a database URL has to be given.
package pgdev
