// Package clerkapi calls Clerk's Backend API. It lists what exists, page by page, looks single
// objects up, and carries out commands.
//
// It guarantees that
//
//   - an empty answer means that Clerk said so. A refusal, an outage, a page of a proxy, a list
//     without its count and a look-up that shows another object are errors. A list that Clerk
//     answers with 404 is empty only if the list's owner is gone, too;
//   - a refusal says what Clerk says: status, code and trace id. Only a 401 is about the secret
//     key;
//   - objects are handed on as Clerk sent them, with their nulls and with unknown fields;
//   - the background calls of one [Client] together keep to a fifth of what Clerk allows the
//     instance, because the customer's own application shares that limit. Only a configured rate
//     changes this. A retry costs as much as a first try;
//   - clients with one [Config.Lease] share all this, in whatever processes they are. Each call is
//     counted by all of them before it is sent, so that no kill and no pause of a process lets them
//     send more than one client may. Only the circuit breaker is each client's own;
//   - calls that a person waits for (see [Interactive]) never wait for a sweep: they are sent at
//     once or fail at once. Commands fail for want of calls only near Clerk's own limit, or when
//     Clerk asks to wait. Look-ups of strangers have a share of their own;
//   - a 429 pauses calls of its purpose, and less urgent ones, for as long as Clerk asks:
//     background calls for a minute at most, look-ups of strangers for ten seconds, commands for
//     five. More urgent calls are still sent;
//   - a command is sent once. If it may have been carried out although it failed, its error is
//     ErrOutcomeUnknown of package sync;
//   - while Clerk doesn't answer, a circuit breaker sends nothing, and callers are told so at once;
//   - no error and no log line carries the secret key.
package clerkapi
