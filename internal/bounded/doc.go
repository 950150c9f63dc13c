// Package bounded has a map and a limiter whose keys callers choose, but not how much memory they
// take.
//
// It guarantees that neither has more than a fixed number of keys. Beyond it, keys that are in use
// stay, and others are forgotten. Everything here is safe for concurrent use. The package knows
// nothing about what it remembers.
package bounded
