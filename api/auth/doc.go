// Package auth identifies callers: a user by a Clerk session token, or a service by a token of its
// own.
//
// It guarantees that a token is accepted only if Clerk signed it, by RS256 with a key that Clerk
// publishes now, for a session of the configured instance and application, and only within its
// times. A remembered token gets the verdict that verifying it again would give. A role or an
// organization in a token counts for nothing. No error or log line carries a token or names a user.
package auth
