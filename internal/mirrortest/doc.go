// Package mirrortest gives tests a mirror in a database of their own: it makes events, applies them
// as deliveries, and reads what the mirror, the ledger and the audit log say then. Its [Directory]
// is a Clerk that a test can make fail.
//
// It guarantees that nothing of it is shared between tests, so they may all run in parallel. It
// knows neither River nor HTTP.
package mirrortest
