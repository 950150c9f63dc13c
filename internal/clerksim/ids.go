package clerksim

import "math/rand/v2"

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Clerk's ids are KSUIDs: 27 base62 digits. The first digit is fixed, so that each one is in the
// range of a KSUID and can be parsed.
const (
	idDigits     = 27
	idFirstDigit = '3'
)

// digitsPerDraw is how many base62 digits one 64-bit draw holds (62^10 < 2^64).
const digitsPerDraw = 10

// newID returns the prefix and 27 base62 digits.
func newID(rng *rand.Rand, prefix string) string {
	id := make([]byte, 0, len(prefix)+idDigits)
	id = append(id, prefix...)
	id = append(id, idFirstDigit)
	for len(id) < cap(id) {
		draw := rng.Uint64()
		for range min(digitsPerDraw, cap(id)-len(id)) {
			id = append(id, base62[draw%uint64(len(base62))])
			draw /= uint64(len(base62))
		}
	}
	return string(id)
}
