// Package clerksim simulates Clerk: a [World] of users, organizations, memberships, invitations,
// domains, roles and sessions. Methods and the Backend API change it. It has signing keys, session
// tokens for its users, and the webhook messages of each change. Package svixsim sends these.
//
// Faults are on demand. [APIFaults] are those of the Backend API, from errors and time-outs to
// lists that lie, with a log of the calls and hooks around each answer. [World.Populate] makes an
// instance large enough to measure a sweep.
//
// The simulator follows what Clerk publishes and what its deliveries were seen to contain, not what
// a decoder would like. Slugs may be null, empty or missing, and unknown fields turn up. The
// primary address isn't always the first. A deleted membership is sent in full with its old
// updated_at, and several changes can share one millisecond. What Clerk leaves unsaid is a switch
// in [Config], so that a mirror can be shown to be right either way.
//
// It guarantees that
//
//   - a [World] is a function of its [Config.Seed], its clock and the calls made on it: the same
//     calls in the same order give the same ids, bodies and message ids. Only a signing key is
//     random, unless it is given: [SigningKeyFromSeed] makes one that isn't;
//   - everything is safe for concurrent use, and every change emits its messages in the order of
//     the changes;
//   - a page in the order of creation costs the same in a world of a hundred thousand memberships
//     as in a small one;
//   - a world costs microseconds to make: no goroutine, listener or key until one is asked for.
//
// The conformance suite of this package (TestConformance) states what Rolecall relies on at Clerk's
// Backend API. The simulator passes it always. Clerk itself is held against it when
// CLERK_CONFORMANCE_SECRET_KEY has the secret key of a development instance. TestClerkBackend asks
// more, for the tests of other services: what Clerk's own client for Node asks. A call, parameter
// or field that isn't simulated is refused with a code of its own, and never answered wrongly.
package clerksim
