// Package bounded has a map and a limiter for keys that callers choose. Their memory stays bounded,
// whatever keys callers send.
//
// It guarantees that neither has more than a fixed number of keys. Beyond it, keys that are in use
// stay, and others are forgotten. Everything here is safe for concurrent use. The package knows
// nothing about what it remembers.
package bounded
