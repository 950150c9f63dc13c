// Package client puts Rolecall's decisions before a Go service's own routes.
//
// It fails closed: whatever goes wrong on the way to a decision, a time-out, a network, an answer that isn't one, lets
// nobody in. There is no option to the contrary. The package needs the standard library only.
package client
