// Package api answers who is in a workspace, in which role, and whether they may do something, over HTTP; it takes the commands
// that change this, and keeps the audit log's readers and writers to what they may.
//
// It guarantees that every decision is made on the mirror, never on a token's role; that somebody who isn't a member
// of a workspace can't tell it from one that doesn't exist, byte for byte and header for header; that who takes power from
// somebody, gives it or renames was confirmed by Clerk just before; and that no answer carries an internal error. Problems are
// RFC 9457's. A workspace is a Clerk organization.
package api
