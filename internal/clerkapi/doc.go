// Package clerkapi calls Clerk's Backend API: it lists what exists, page by page, looks up whether one object still does, and
// carries out commands.
//
// It guarantees that
//
//   - an empty answer means that Clerk said so: a refusal, an outage, a page of a proxy, a listing without its count or
//     a look-up that shows another object are errors, never "nothing there". A list that isn't there is empty only if what it
//     belongs to is gone, too;
//   - a refusal says what Clerk says: status, code and trace id. Only a 401 is about the secret key;
//   - objects are handed on as Clerk sent them, with their nulls and with fields that nobody here knows yet;
//   - the background calls of one [Client] together keep to a fifth of what Clerk allows the instance, because the
//     customer's own application shares that limit. A retry costs as much as a first try;
//   - calls that somebody waits for (see [Interactive]) never wait behind a sweep: they go at once or fail at once. Commands fail only
//     when all calls together come near to Clerk's own limit, or when Clerk itself says so; strangers have a share of their own;
//   - when Clerk asks to wait (429 with Retry-After), calls of that purpose pause, and those of lesser ones: background calls for a
//     minute at most, look-ups of strangers for ten seconds, commands for five. What goes before them isn't held;
//   - a command is sent once, and an error of one that may have been carried out says so (ErrOutcomeUnknown of package sync);
//   - when Clerk doesn't answer, a circuit breaker stops asking it, and every caller is told so without waiting;
//   - the secret key is in no error and in no line of a log.
package clerkapi
