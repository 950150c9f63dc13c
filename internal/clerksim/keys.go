package clerksim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// NewSigningKey makes an RSA key of 2048 bits for [Config.SigningKey] or [World.RotateKey]. It
// takes about a tenth of a second. The key is random, unlike one of [SigningKeyFromSeed].
func NewSigningKey() (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, minKeyBits)
	if err != nil {
		return nil, fmt.Errorf("generate signing key: %w", err)
	}
	return key, nil
}

// keyring holds the key that signs and the public keys that are published. The first key is made
// when it is needed.
type keyring struct {
	mu        sync.Mutex
	rng       *mathrand.Rand // names keys and sessions
	signing   *rsa.PrivateKey
	signingID string
	published []jose.JSONWebKey
}

func newKeyring(key *rsa.PrivateKey, rng *mathrand.Rand) *keyring {
	k := &keyring{rng: rng}
	k.signingID = newID(rng, "ins_") // Clerk names its keys like its instances
	if key != nil {
		k.install(key)
	}
	return k
}

// current returns the signing key and its id.
func (k *keyring) current() (key *rsa.PrivateKey, keyID string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.ensure(); err != nil {
		return nil, "", err
	}
	return k.signing, k.signingID, nil
}

func (k *keyring) ensure() error {
	if k.signing != nil {
		return nil
	}
	key, err := NewSigningKey()
	if err != nil {
		return err
	}
	k.install(key)
	return nil
}

func (k *keyring) install(key *rsa.PrivateKey) {
	k.signing = key
	k.published = append(k.published, jose.JSONWebKey{
		Key: &key.PublicKey, KeyID: k.signingID, Algorithm: string(jose.RS256), Use: "sig",
	})
}

func (k *keyring) newID(prefix string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return newID(k.rng, prefix)
}

// KeySet returns the public keys, as GET /v1/jwks and /.well-known/jwks.json serve them. An error
// means that the first key could not be made.
func (w *World) KeySet() (jose.JSONWebKeySet, error) {
	w.keys.mu.Lock()
	defer w.keys.mu.Unlock()
	if err := w.keys.ensure(); err != nil {
		return jose.JSONWebKeySet{}, err
	}
	return jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey(nil), w.keys.published...)}, nil
}

// PublicKey returns the public key that verifies new tokens, as PEM: what SDKs call the JWT key. An
// error means that the first key could not be made.
func (w *World) PublicKey() (string, error) {
	key, _, err := w.keys.current()
	if err != nil {
		return "", err
	}
	text, err := publicPEM(&key.PublicKey)
	return strings.TrimSpace(string(text)), err
}

// RotateKey makes next the key that signs, or a new one if next is nil. With keepOld the old keys
// stay published, so that their tokens are still valid; else the old keys are gone at once.
func (w *World) RotateKey(next *rsa.PrivateKey, keepOld bool) error {
	if next == nil {
		var err error
		if next, err = NewSigningKey(); err != nil {
			return err
		}
	}
	if next.N.BitLen() < minKeyBits {
		return fmt.Errorf("rotate signing key: %d bits are too few", next.N.BitLen())
	}
	w.keys.mu.Lock()
	defer w.keys.mu.Unlock()
	if keepOld {
		if err := w.keys.ensure(); err != nil {
			return err
		}
	} else {
		w.keys.published = nil
	}
	w.keys.signingID = newID(w.keys.rng, "ins_")
	w.keys.install(next)
	return nil
}

// publicPEM is a public key in the form in which Clerk's dashboard shows it.
func publicPEM(key *rsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}
