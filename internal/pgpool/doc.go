// Package pgpool opens every session that Rolecall has with Postgres, and knows what each must be.
//
// It guarantees, of each session that a pool of [Open] or a connection of [Connect] hands out:
//
//   - The server is a primary, not in recovery, and of the newest timeline that this process has seen ([Lineage]). A session
//     that is read-only where it must write is thrown away: when it connects, when a statement says so, and when it was
//     idle for a second.
//   - Its encoding is UTF8 on both sides, it begins transactions with READ COMMITTED, what it commits is on disk unless
//     [Needs] says otherwise, and no setting of the role, the database or the URL changes what Rolecall's SQL means.
//   - What it must be is set by SQL and read back, so that a pooler between can neither refuse nor swallow it.
//
// Behind a pooler that gives a server to each transaction, nothing of a session lasts. [OpenPerTransaction] assures the same
// at the beginning of each transaction, in the round trip that begins it.
package pgpool
