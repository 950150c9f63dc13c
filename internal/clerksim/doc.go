// Package clerksim is a simulator of Clerk: a world of users, organizations, memberships, invitations, domains and roles
// that can be changed by method call or over the Backend API, signing keys and session tokens for its users, and the
// webhook messages of what happened. Package svixsim sends them.
//
// What goes wrong is on demand: [APIFaults] are the Backend API's, from errors and time-outs to lists that lie, with a log
// of the calls and hooks around each answer. [World.Populate] makes an instance large enough to measure a sweep.
//
// It follows what Clerk publishes and what its deliveries were seen to contain, not what a decoder would like:
// slugs may be null, empty or missing, unknown fields turn up, the primary address is not always the first, a
// deleted membership is sent in full with its old updated_at, and several changes can share one millisecond.
//
// It guarantees that
//
//   - a [World] is a function of its [Config.Seed], its clock and the calls made on it: the same calls in the
//     same order give the same ids, bodies and message ids. Only a signing key is random, unless it is given;
//   - everything is safe for concurrent use, and every mutation emits its messages in the order of the changes;
//   - a page in the order of creation costs the same in a world of a hundred thousand memberships as in a small one;
//   - a world costs microseconds to make: no goroutine, no listener and no key until one is asked for.
//
// The conformance suite of this package (TestConformance) states what Rolecall relies on at Clerk's Backend API. The
// simulator passes it always; Clerk itself is held against it when CLERK_CONFORMANCE_SECRET_KEY has the secret key of a
// development instance.
//
// What Clerk leaves unsaid is a switch in [Config], so that a mirror can be shown to be right either way.
package clerksim
