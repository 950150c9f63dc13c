// Package policy says what each role may do, beside its permissions at Clerk, and which permission
// each route of the product needs.
//
// It guarantees that a policy is read whole or refused whole, with a line for each mistake. A
// process answers by one policy at a time, and keeps it while the next one can't be read. Reading a
// file takes bounded time and memory, whatever the file is.
package policy
