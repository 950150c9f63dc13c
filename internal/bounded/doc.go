// Package bounded remembers things by key without growing: callers choose keys, and must not be
// able to choose how much memory they take.
//
// Everything here is safe for concurrent use. The package knows nothing of what it remembers.
package bounded
