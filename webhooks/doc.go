// Package webhooks turns Clerk's HTTP requests into verified deliveries.
//
// It guarantees that nothing is parsed, stored or answered with a 2xx before the raw bytes of the
// request were verified with the svix library against a configured secret, that a 2xx means that
// the delivery is committed, and that a refusal tells the sender nothing about why.
package webhooks
