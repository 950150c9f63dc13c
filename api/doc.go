// Package api answers over HTTP who is in a workspace, in which role, and whether they may do
// something. It also takes the commands that change this, and the requests that read and extend the
// audit log.
//
// It guarantees that every decision is made on the mirror, never on a token's role. A stranger
// can't tell a workspace from one that doesn't exist, byte for byte and header for header. Clerk
// has just confirmed the caller of each role change, removal of another member and renaming. No
// answer carries an internal error. Problems are RFC 9457's. A workspace is a Clerk organization.
package api
