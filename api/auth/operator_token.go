package auth

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// operatorTokenPrefix lets secret scanners find a leaked token of an operator.
const operatorTokenPrefix = "rco_"

// OperatorToken is the token of an operator of Rolecall, who signs in to the console.
type OperatorToken struct {
	// Name is the operator's name, of 1 to 64 characters a-z, 0-9 and "-".
	Name string
	// SHA256 is the SHA-256 of the whole token, its "rco_" included.
	SHA256 [sha256.Size]byte
}

// OperatorTokens are the tokens of all operators.
type OperatorTokens []OperatorToken

// ParseOperatorTokens reads a comma-separated list of entries name:hexsha256, the form of
// ROLECALL_OPERATOR_TOKEN_HASHES. Blanks around an entry are ignored, and a blank list is empty.
// Neither a name nor a hash may repeat: the audit log names the operator, and a session ends with
// its token. Errors are those of [ParseServiceTokens].
func ParseOperatorTokens(list string) (OperatorTokens, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var tokens OperatorTokens
	names, hashes := map[string]int{}, map[[sha256.Size]byte]int{}
	for i, entry := range strings.Split(list, ",") {
		name, hash, err := parseTokenHash(strings.TrimSpace(entry))
		if err != nil {
			return nil, fmt.Errorf("parse operator token hash %d: %w", i+1, err)
		}
		if first, repeated := names[name]; repeated {
			return nil, fmt.Errorf("parse operator token hash %d: the name %q is that of entry %d, too: give each operator one token", i+1, name, first)
		}
		if first, repeated := hashes[hash]; repeated {
			return nil, fmt.Errorf("parse operator token hash %d: %q has the hash of entry %d: give each operator a token of their own", i+1, name, first)
		}
		names[name], hashes[hash] = i+1, i+1
		tokens = append(tokens, OperatorToken{Name: name, SHA256: hash})
	}
	return tokens, nil
}

// MinOperatorToken is how many characters a token has at least after its "rco_": as many as 32
// random bytes in base64url.
const MinOperatorToken = 43

// Identify returns the entry of a token, in constant time. It reports whether there is one. A token
// that is too short, or lacks its "rco_", could be guessed: it has none.
func (o OperatorTokens) Identify(token string) (OperatorToken, bool) {
	secret, prefixed := strings.CutPrefix(token, operatorTokenPrefix)
	if !prefixed || len(secret) < MinOperatorToken {
		return OperatorToken{}, false
	}
	match := matching(token, len(o), func(i int) [sha256.Size]byte { return o[i].SHA256 })
	if match < 0 {
		return OperatorToken{}, false
	}
	return o[match], true
}
