// Package policy says what each role may do, beside what it may at Clerk.
//
// It guarantees that a policy is read whole or refused whole, with a line for each mistake; that a
// process answers by one policy at a time, and keeps it while the next one can't be read; and that
// reading a file takes bounded time and memory, whatever the file is.
package policy
