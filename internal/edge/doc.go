// Package edge bounds the connections and the memory that callers take before they are
// authenticated.
//
// It guarantees a fixed limit of connections, and a fixed number of bytes that all requests of more
// than a few kilobytes share until they are answered. When either is used up, the caller that has
// kept the service waiting longest is cut. So a caller that sends its request and reads its answer
// without delay is served, however many others don't.
package edge
