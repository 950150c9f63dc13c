package sync

import (
	"strconv"
	"strings"
)

// A cause names the source of a change: the svix-id of a delivery, a command (cmd_…), or a read of
// Clerk's API. Clerk answers only reads from an old state. So the two kinds of read, sweeps and
// look-ups, have prefixes that tell them from the other sources.
const (
	sweepPrefix  = "sweep_"
	lookupPrefix = "lookup_"
)

// SweepCause names a sweep as a cause.
func SweepCause(id int64) string { return sweepPrefix + strconv.FormatInt(id, 10) }

// SweepID returns the number of a sweep by its name, and whether the name is one.
func SweepID(name string) (int64, bool) {
	number, ok := strings.CutPrefix(name, sweepPrefix)
	id, err := strconv.ParseInt(number, 10, 64)
	return id, ok && err == nil && id > 0 && SweepCause(id) == name
}

// LookupCause names a look-up as a cause.
func LookupCause(id string) string { return lookupPrefix + id }

// wasRead reports whether a read of Clerk's API is the cause.
func wasRead(cause string) bool {
	return strings.HasPrefix(cause, sweepPrefix) || strings.HasPrefix(cause, lookupPrefix)
}
