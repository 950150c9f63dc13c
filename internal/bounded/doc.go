// Package bounded has maps and limits by key whose memory is bounded, because callers choose the
// keys.
//
// It guarantees that the number of entries stays below a limit whatever keys come, and that
// everything here is safe for concurrent use. It knows nothing about keys and values.
package bounded
