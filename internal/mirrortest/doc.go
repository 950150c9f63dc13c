// Package mirrortest gives tests a mirror in a database of their own. It makes events, applies them
// as deliveries, and reads what the mirror, the ledger and the audit log then hold. [NewClerk]
// starts a simulated Clerk with the service's client. A [Directory] is a small Clerk that does what
// the simulator can't.
//
// It guarantees that tests share nothing, so all of them may run in parallel. It doesn't know
// River.
package mirrortest
