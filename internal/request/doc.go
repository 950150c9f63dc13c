// Package request knows, of each request to the public side, its id, its route, its caller and how
// it ended.
//
// It guarantees that a request has one id, of at most 128 visible ASCII characters, and that the id
// is in the answer, in the request's context, and in each line that is logged under that context.
// Nothing that it tells of a request has a query, a token or an address of a person.
package request
