// Package pgpool opens every session that Rolecall has with Postgres, and judges each.
//
// It guarantees, of each session that a pool of [Open] hands out or that [Connect] opens, that
//
//   - the server is a primary, not in recovery, and of the newest timeline that this process has
//     seen ([Lineage]). A session that must write and can't is thrown away: when it connects, when
//     a statement says so, and when it was idle for a second;
//   - the encoding is UTF8 on both sides, transactions begin with READ COMMITTED, and a commit is
//     on disk unless [Needs] says otherwise. No setting of the role, the database or the URL
//     changes what Rolecall's SQL means;
//   - these settings are set by SQL and read back. So a pooler on the way can neither refuse nor
//     swallow them.
//
// Behind a pooler that gives a server to each transaction, nothing of a session lasts.
// [OpenPerTransaction] guarantees the same at the beginning of each transaction, in the round trip
// that begins it.
package pgpool
