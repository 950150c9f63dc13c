// Package svixsim is a simulator of Svix, the webhook sender of Clerk: a courier that sends what
// happened in a simulated Clerk as signed webhooks, and again until each endpoint acknowledges.
//
// What goes wrong is on demand: [Faults] drop, repeat, delay and reorder messages, and endpoints
// are disabled, enabled and recovered.
//
// It guarantees that a courier's sends follow a plan that is a function of [Faults.Seed], or one
// that the caller wrote by hand. A courier is safe for concurrent use. It knows a [clerksim.World]
// only by the messages that it emits.
package svixsim
