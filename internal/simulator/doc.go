// Package simulator runs a simulated Clerk: package clerksim is the instance and its Backend API,
// package svixsim sends the webhooks, and this package serves both on one address.
//
// It adds a mailbox with invitations, a record of the webhooks, [Switches] that break webhooks and
// API while everything runs, a control API for all of that, and a [Cast] of invented people.
//
// It guarantees that a webhook is in the record from the change until 500 newer ones have come.
// Ids, keys and secrets follow from the seed, so that they are the same at the next start. Everyone
// who knows the seed knows them.
package simulator
