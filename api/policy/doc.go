// Package policy says which permissions each role has beside its permissions at Clerk.
//
// It guarantees that a policy is read whole or refused whole, with a line for each mistake. A
// process answers by one policy at a time, and keeps it while the next one can't be read. Reading
// any file takes bounded time and memory.
package policy
