package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// serviceTokenPrefix distinguishes a service's token from a user's before parsing, and lets
	// secret scanners find a leaked one.
	serviceTokenPrefix = "rcs_"

	// secretBytes is the length of the random part. 256 bits can't be guessed, so a plain
	// hash of a token may be stored, while a password would need a slow one.
	secretBytes = 32

	// maxTokenName bounds the name of a service or an operator, which is written into the audit log
	// as "service:NAME" or "operator:NAME".
	maxTokenName = 64
)

// ServiceToken is one token of a service: the service's name, the token's hash and its rights.
// During a rotation a service has several.
type ServiceToken struct {
	// Name is the service's name, of 1 to 64 characters a-z, 0-9 and "-".
	Name string
	// SHA256 is the SHA-256 of the whole token, its "rcs_" included.
	SHA256 [sha256.Size]byte
	// Rights are what the bearer of this token may do; nil for an entry that names none.
	Rights *Rights
}

// ParseServiceTokens reads a comma-separated list of entries, the form of
// ROLECALL_SERVICE_TOKEN_HASHES. An entry is name:hexsha256, which /scopes=read+authorize and
// /workspaces=org_1+org_2 may follow; no shell needs quotation marks for that. Blanks around an
// entry are ignored, and a blank list is empty. A name may repeat with another hash (rotation), but
// a hash must not repeat, because its token must identify one service. Errors name an entry by its
// position and, if well formed, its name. They contain nothing else, because the entry could be a
// token pasted by mistake.
func ParseServiceTokens(list string) ([]ServiceToken, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var tokens []ServiceToken
	for i, entry := range strings.Split(list, ",") {
		token, err := parseServiceToken(strings.TrimSpace(entry))
		if err != nil {
			return nil, fmt.Errorf("parse service token hash %d: %w", i+1, err)
		}
		tokens = append(tokens, token)
	}
	if err := validateServiceTokens(tokens); err != nil {
		return nil, err
	}
	return tokens, nil
}

// parseServiceToken reads one entry.
func parseServiceToken(entry string) (ServiceToken, error) {
	parts := strings.Split(entry, "/")
	name, hash, err := parseTokenHash(parts[0])
	if err != nil {
		return ServiceToken{}, err
	}
	token := ServiceToken{Name: name, SHA256: hash}
	if token.Rights, err = parseRights(parts[1:]); err != nil {
		return ServiceToken{}, fmt.Errorf("%q: %w", name, err)
	}
	return token, nil
}

// parseTokenHash reads name:hexsha256. Its errors hold at most the name, because the text could be
// a token pasted by mistake.
func parseTokenHash(text string) (name string, hash [sha256.Size]byte, err error) {
	name, digest, found := strings.Cut(text, ":")
	switch {
	case text == "":
		return "", hash, errors.New("the entry is empty")
	case !found:
		return "", hash, errors.New("the entry must be name:hexsha256, but it has no colon")
	case !validTokenName(name):
		return "", hash, errors.New("the name must be 1 to 64 characters of a-z, 0-9 and -")
	case len(digest) != hex.EncodedLen(sha256.Size):
		return "", hash, fmt.Errorf("%q: the hash must be %d hexadecimal digits, but it has %d characters",
			name, hex.EncodedLen(sha256.Size), len(digest))
	}
	if _, err := hex.Decode(hash[:], []byte(digest)); err != nil {
		// Not wrapped: hex's error quotes the invalid byte.
		return "", hash, fmt.Errorf("%q: the hash has a character that isn't a hexadecimal digit", name)
	}
	return name, hash, nil
}

// validateServiceTokens checks the promises of ParseServiceTokens for configurations built by hand.
func validateServiceTokens(tokens []ServiceToken) error {
	seen := make(map[[sha256.Size]byte]int, len(tokens))
	for i, token := range tokens {
		if !validTokenName(token.Name) {
			return fmt.Errorf("service token hash %d: the name must be 1 to 64 characters of a-z, 0-9 and -", i+1)
		}
		if first, repeated := seen[token.SHA256]; repeated {
			return fmt.Errorf("service token hash %d (%q) repeats the hash of entry %d (%q)",
				i+1, token.Name, first+1, tokens[first].Name)
		}
		if err := token.Rights.validate(); err != nil {
			return fmt.Errorf("service token hash %d (%q): %w", i+1, token.Name, err)
		}
		seen[token.SHA256] = i
	}
	return nil
}

// validTokenName reports whether name is 1 to 64 characters of a-z, 0-9 and "-".
func validTokenName(name string) bool {
	outside := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	return name != "" && len(name) <= maxTokenName && strings.IndexFunc(name, outside) < 0
}

// NewServiceToken mints a token from 32 bytes of random (crypto/rand.Reader) and returns it with
// the hex SHA-256 that ParseServiceTokens expects after the name. The token is shown once and
// stored nowhere. The error is that of random.
func NewServiceToken(random io.Reader) (token, hash string, err error) {
	secret := make([]byte, secretBytes)
	if _, err := io.ReadFull(random, secret); err != nil {
		return "", "", fmt.Errorf("read randomness for a token: %w", err)
	}
	token = serviceTokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	digest := sha256.Sum256([]byte(token))
	return token, hex.EncodeToString(digest[:]), nil
}

// serviceTokens are the accepted tokens of services.
type serviceTokens []ServiceToken

// identify returns the service of a token.
func (s serviceTokens) identify(token string) (Identity, error) {
	match := matching(token, len(s), func(i int) [sha256.Size]byte { return s[i].SHA256 })
	if match < 0 {
		return Identity{}, refuse(ReasonServiceToken)
	}
	return Identity{Service: s[match].Name, Rights: s[match].Rights}, nil
}

// matching returns the index of a token's entry among n, or -1. It compares the token's hash with
// every entry, in constant time and without stopping early. So the time taken doesn't reveal which
// entries came close.
func matching(token string, n int, hash func(i int) [sha256.Size]byte) int {
	digest := sha256.Sum256([]byte(token))
	match := -1
	for i := range n {
		entry := hash(i)
		match = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(digest[:], entry[:]), i, match)
	}
	return match
}
