// Package mirrortest gives tests a mirror in a database of their own. It makes events, applies them
// as deliveries, and reads what the mirror, the ledger and the audit log then hold. Its [Directory]
// is a Clerk that a test can make fail.
//
// It guarantees that tests share nothing, so all of them may run in parallel. It knows neither
// River nor HTTP.
package mirrortest
