// Package svixsim simulates Svix, the webhook sender of Clerk. Its [Courier] sends what happened in
// a simulated Clerk as signed webhooks, and again until each endpoint acknowledges.
//
// Faults are on demand: [Faults] drop, repeat, delay and reorder messages, and endpoints are
// disabled, enabled and recovered.
//
// It guarantees that a courier's sends follow a plan. The plan is a function of [Faults.Seed], or
// the caller wrote it by hand. A courier is safe for concurrent use. It knows a [clerksim.World]
// only by the messages that this emits.
package svixsim
