// Package clerksim is a simulator of Clerk and of Svix, its webhook sender: a world of users, organizations,
// memberships, invitations, domains and roles that can be changed by method call, the Backend API and signing keys
// over it, session tokens for its users, and a courier that sends what happened as signed webhooks.
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
//   - a courier's sends follow a plan that is a function of [Faults.Seed], or one that the caller wrote by hand;
//   - a world costs microseconds to make: no goroutine, no listener and no key until one is asked for.
//
// What Clerk leaves unsaid is a switch in [Config], so that a mirror can be shown to be right either way.
package clerksim
