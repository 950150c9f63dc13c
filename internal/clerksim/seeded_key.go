package clerksim

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
)

// publicExponent is the public exponent of almost every RSA key.
const publicExponent = 65537

// primeRounds is how many random bases a prime is tested with, beside the tests that
// [big.Int.ProbablyPrime] always makes.
const primeRounds = 20

// SigningKeyFromSeed makes an RSA key of 2048 bits that follows from the seed, on each machine and
// with each version of Go. So a token of one process is valid in the next one. It takes about a
// tenth of a second. The key keeps no secret: everyone who knows the seed has it, and most seeds
// are guessed easily.
func SigningKeyFromSeed(seed uint64) (*rsa.PrivateKey, error) {
	stream := &keyStream{seed: seed}
	p := stream.prime()
	q := stream.prime()
	for q.Cmp(p) == 0 { // never, but for a key it must not be
		q = stream.prime()
	}
	one := big.NewInt(1)
	order := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: publicExponent},
		D:         new(big.Int).ModInverse(big.NewInt(publicExponent), order),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		return nil, fmt.Errorf("make signing key from seed %d: %w", seed, err)
	}
	return key, nil
}

// keyStream is an endless stream of bytes that follows from a seed: SHA-256 in counter mode.
// Neither crypto/rsa nor math/rand promises the same results for all versions of Go.
type keyStream struct{ seed, block uint64 }

// prime returns the next prime of half the key's bits that suits the public exponent.
func (s *keyStream) prime() *big.Int {
	const bits = minKeyBits / 2
	candidate, rest := new(big.Int), new(big.Int)
	for {
		candidate.SetBytes(s.next(bits / 8))
		candidate.SetBit(candidate, 0, 1)
		candidate.SetBit(candidate, bits-1, 1) // the product of two such numbers has all bits
		candidate.SetBit(candidate, bits-2, 1)
		rest.Mod(candidate, big.NewInt(publicExponent))
		if rest.Cmp(big.NewInt(1)) != 0 && candidate.ProbablyPrime(primeRounds) {
			return candidate
		}
	}
}

// next returns n bytes, in whole blocks.
func (s *keyStream) next(n int) []byte {
	var bytes []byte
	for len(bytes) < n {
		input := binary.BigEndian.AppendUint64([]byte("clerksim signing key"), s.seed)
		block := sha256.Sum256(binary.BigEndian.AppendUint64(input, s.block))
		bytes = append(bytes, block[:]...)
		s.block++
	}
	return bytes[:n]
}
