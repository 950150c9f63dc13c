// Package client puts Rolecall's decisions before a Go service's own routes.
//
// It guarantees that it fails closed: a request without a decision is refused, be it for a timeout,
// a network error or an answer that isn't a decision. No option changes that. The package needs
// only the standard library.
package client
