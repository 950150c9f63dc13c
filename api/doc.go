// Package api answers over HTTP which users are in a workspace, in which role, and whether they may
// do something. Users and services ask; so do proxies about a request of their client, and products
// that speak AuthZEN. It also takes the commands that change this, and serves the audit log. A
// workspace is a Clerk organization.
//
// It guarantees that
//
//   - the mirror and the policy make every decision, never a role in a token;
//   - a stranger can't tell a workspace from one that doesn't exist, byte for byte and header for
//     header;
//   - before a role change, a renaming or the removal of another member, the caller's own
//     membership is looked up at Clerk;
//   - no answer carries an internal error. Refusals are problems (RFC 9457).
package api
