// Package sync is the vocabulary of Rolecall, and every decision it makes about Clerk's data.
//
// It guarantees that the state of the mirror is a function of the set of deliveries alone: applying
// them is commutative, associative and idempotent, so any order with any repeats gives one result.
// Each object is a product of last-writer-wins registers (see [Field]) and a tombstone, merged by
// taking the higher [Version]. The property tests of laws_test.go prove these laws.
//
// The package is pure: standard library only, no I/O, no clock, no goroutines. Importers name it
// clerksync.
package sync
