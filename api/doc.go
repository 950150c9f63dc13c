// Package api answers over HTTP who is in a workspace, in which role, and whether they may do
// something. It also takes the commands that change this, and the requests that read and extend the
// audit log.
//
// It guarantees that every decision is made on the mirror, never on a token's role. A stranger gets
// the same answer about a workspace as about one that doesn't exist, byte for byte and header for
// header. Before a renaming, a role change or the removal of another member, Clerk has just
// confirmed the caller's own role. No answer carries an internal error. Problems are RFC 9457's. A
// workspace is a Clerk organization.
package api
