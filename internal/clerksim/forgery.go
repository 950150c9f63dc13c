package clerksim

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Forgery is a way to make a token that a verifier must refuse.
type Forgery int

// The forgeries, and the genuine token.
const (
	// Genuine is signed with RS256 by the world's key.
	Genuine Forgery = iota
	// Unsigned has the algorithm "none" and an empty signature.
	Unsigned
	// KeyConfusion is signed with HS256, with the PEM of the public key as the secret: it is good
	// for a verifier that lets the token choose the algorithm.
	KeyConfusion
	// Tampered was signed for its user and then given another subject: "user_tampered_" and the old
	// one.
	Tampered
)

func (f Forgery) sign(key *rsa.PrivateKey, keyID string, claims map[string]any) (string, error) {
	switch f {
	case Genuine:
		return signWith(jose.SigningKey{Algorithm: jose.RS256, Key: key}, keyID, claims)
	case Unsigned:
		return unsigned(keyID, claims)
	case KeyConfusion:
		secret, err := publicPEM(&key.PublicKey)
		if err != nil {
			return "", err
		}
		return signWith(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, keyID, claims)
	case Tampered:
		genuine, err := Genuine.sign(key, keyID, claims)
		if err != nil {
			return "", err
		}
		return tamper(genuine, claims)
	default:
		return "", fmt.Errorf("forge token: unknown forgery %d", f)
	}
}

func signWith(key jose.SigningKey, keyID string, claims map[string]any) (string, error) {
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", keyID)
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

func unsigned(keyID string, claims map[string]any) (string, error) {
	header, err := encodePart(map[string]any{"alg": "none", "kid": keyID, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	payload, err := encodePart(claims)
	if err != nil {
		return "", err
	}
	return header + "." + payload + ".", nil
}

// tamper replaces the payload and keeps header and signature.
func tamper(token string, claims map[string]any) (string, error) {
	parts := strings.Split(token, ".")
	changed := maps.Clone(claims)
	changed["sub"] = fmt.Sprintf("user_tampered_%v", claims["sub"])
	payload, err := encodePart(changed)
	if err != nil {
		return "", err
	}
	return parts[0] + "." + payload + "." + parts[2], nil
}

func encodePart(part map[string]any) (string, error) {
	raw, err := json.Marshal(part)
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}
