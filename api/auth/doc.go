// Package auth identifies callers: a user by a Clerk session token, or a service by a token of its
// own. The token stands in the Authorization header. Of a browser it may stand in a cookie, at the
// doors for proxies alone.
//
// It guarantees that a user's token is accepted only with an RS256 signature by a key that Clerk
// publishes, only for the configured instance and application, and only within its times. The keys
// are at most an hour old, or a day while Clerk can't be reached. Tokens that aren't a session's
// are refused, unless [Config] accepts those of templates.
//
// A remembered token gets the verdict that verifying it again would give. A role in a token counts
// for nothing, and an organization only says which one a request means. No error or log line
// carries a token or names a user.
package auth
