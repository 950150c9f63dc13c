// Package client puts Rolecall's decisions before a Go service's own routes.
//
// It guarantees that it fails closed: a request passes only if Rolecall's answer allows it. After a
// time-out, a network error or an answer that is no decision, the request is refused, and no option
// changes that. It also follows Rolecall's changes: a consumer that keeps its cursor misses none
// and gets none twice. The package needs the standard library only.
package client
