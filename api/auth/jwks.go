package auth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeySetBytes bounds the answer. A key takes about 500 bytes, and an instance has one or
	// two.
	maxKeySetBytes = 64 << 10

	// minKeyBits is the least that RFC 7518 section 3.3 allows for RS256, and what Clerk uses.
	minKeyBits = 2048
	// maxKeyBits bounds the cost of one verification. go-jose verifies with no larger key.
	maxKeyBits = 4096
)

// signingKeys are public keys by their kid.
type signingKeys map[string]*rsa.PublicKey

// fetchSigningKeys gets a JSON Web Key Set (RFC 7517) and returns its keys for RS256 signatures.
// Any answer but a 200 with at least one such key is an error, because an empty set or an error
// page must not replace working keys.
func fetchSigningKeys(ctx context.Context, client *http.Client, address string) (signingKeys, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, errors.New("build key set request: its address can't be read")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if lost, ok := errors.AsType[*url.Error](err); ok {
		err = lost.Err // the address may hold a password, and errors are logged
	}
	if err != nil {
		return nil, fmt.Errorf("request key set: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("request key set: status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySetBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	if len(body) > maxKeySetBytes {
		return nil, fmt.Errorf("read key set: it is larger than %d bytes", maxKeySetBytes)
	}
	return parseSigningKeys(body)
}

// parseSigningKeys returns a key set's keys for RS256 signatures. It leaves out broken keys and
// keys of other kinds, because an addition for another purpose must not make the needed keys
// unusable.
func parseSigningKeys(body []byte) (signingKeys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("decode key set: %w", err)
	}
	keys := make(signingKeys, len(set.Keys))
	for _, raw := range set.Keys {
		if kid, public := parseSigningKey(raw); public != nil {
			keys[kid] = public
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("decode key set: it holds no RSA key for signatures")
	}
	return keys, nil
}

// publishedKey has the members that are read of a published key. It leaves out certificates (x5c,
// x5u), because the TLS connection vouches for the set.
type publishedKey struct {
	Type      string `json:"kty"`
	ID        string `json:"kid,omitempty"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

// parseSigningKey returns one key's kid and public key, or nil for a key that isn't for RS256
// signatures.
func parseSigningKey(raw json.RawMessage) (kid string, public *rsa.PublicKey) {
	var published publishedKey
	if err := json.Unmarshal(raw, &published); err != nil || published.ID == "" || !published.forRS256() {
		return "", nil
	}
	alone, err := json.Marshal(publishedKey{Type: published.Type, Modulus: published.Modulus, Exponent: published.Exponent})
	if err != nil {
		return "", nil
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(alone); err != nil {
		return "", nil
	}
	public, ok := key.Key.(*rsa.PublicKey)
	if !ok || public.N.BitLen() < minKeyBits || public.N.BitLen() > maxKeyBits {
		return "", nil
	}
	return published.ID, public
}

// forRS256 reports whether a key is of the kind that signs by RS256, and isn't declared for another
// use.
func (k publishedKey) forRS256() bool {
	return k.Type == "RSA" && (k.Use == "sig" || k.Use == "") && (k.Algorithm == string(jose.RS256) || k.Algorithm == "")
}
