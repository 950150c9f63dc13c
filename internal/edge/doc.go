// Package edge bounds what callers cost before it is known who they are: connections and memory.
//
// It guarantees that there are no more than a fixed number of connections, and that requests that need more than a few
// kilobytes share a fixed number of bytes until they are answered. When either is used up, the caller that has kept the
// service waiting longest is cut. A caller who sends its request and reads its answer without delay is therefore served
// however many others don't.
package edge
