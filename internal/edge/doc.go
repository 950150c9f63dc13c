// Package edge bounds what callers cost before it is known who they are: connections, memory, and lines of the log.
//
// It guarantees that there are no more than a fixed number of connections, and that requests that need more than a few
// kilobytes share a fixed number of bytes until they are answered. A newcomer gets in all the same: whoever has been waited
// for the longest makes room. A caller who sends its request without delay is therefore served however many others don't.
package edge
