package request

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// Header is the header of a request's id, in requests and answers.
const Header = "X-Request-Id"

const (
	// maxID bounds an id, in bytes. Ids of other programs are shorter: a UUID has 36, a traceparent
	// 55.
	maxID = 128
	// entropy is how many random bytes an id has that is made here. Among a billion requests, two
	// have the same id once in a million times.
	entropy = 10
)

// idOf returns the id of a request: the one that its sender gave, if it gave one id of 1 to 128
// visible ASCII characters, else a new random one in hex. An id has no order: log lines have times.
func idOf(given []string) string {
	if len(given) == 1 && isID(given[0]) {
		return given[0]
	}
	var random [2 * 8]byte                                // of each thread's own generator: asking the system costs more than all else here
	binary.BigEndian.PutUint64(random[:], rand.Uint64())  //nolint:gosec // an id is no secret
	binary.BigEndian.PutUint64(random[8:], rand.Uint64()) //nolint:gosec // an id is no secret
	var id [2 * entropy]byte
	hex.Encode(id[:], random[:entropy])
	return string(id[:])
}

func isID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}
