// Package edge bounds what callers cost before the service knows them: connections and memory.
//
// It guarantees that there are no more than a fixed number of connections. Requests that need more
// than a few kilobytes share a fixed number of bytes until they are answered. When either is used
// up, the caller that has kept the service waiting longest is cut. So a caller that sends its
// request and reads its answer without delay is served, however many slow callers there are.
package edge
