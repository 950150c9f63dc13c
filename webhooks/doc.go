// Package webhooks turns Clerk's HTTP requests into verified deliveries.
//
// It guarantees that nothing is parsed, stored or answered with a 2xx before the svix library has
// verified the raw bytes of the request against a configured secret. A 2xx means that the delivery
// is committed. A request that isn't verified gets one answer, which doesn't say why.
package webhooks
