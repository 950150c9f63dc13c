package clerkapi

import (
	"errors"
	"strings"
)

// CheckURL returns what is wrong with the address of a Backend API, in words that complete "it is
// wrong: …". It names no part of the address, which may contain a password.
func CheckURL(raw string) error { return validateURL(raw) }

// CheckSecretKey returns what is wrong with the form of a secret key. It names no part of it.
func CheckSecretKey(key string) error {
	switch {
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("it contains a blank or another character that no key has")
	case strings.HasPrefix(key, "pk_"):
		return errors.New("it is a publishable key, where the secret key (sk_…) belongs")
	case strings.HasPrefix(key, "whsec_"):
		return errors.New("it is the signing secret of a webhook endpoint, where the secret key (sk_…) belongs")
	}
	return nil
}
