package clerksim

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"
)

// The bounds of a password: Clerk's least number of characters (Backend API document, POST /users),
// and the most bytes that bcrypt takes.
const (
	minPassword = 8
	maxPassword = 72
)

// passwordRounds make a guess at a kept password cost a millisecond, and a test no more than that.
const passwordRounds = 5000

// password is what is kept of a user's password: nothing that it can be read from.
type password struct {
	salt, hash []byte
	changedAt  time.Time
}

// newPassword hashes a password. That takes a millisecond, so call it without a lock.
func newPassword(plain string) (*password, error) {
	salt := make([]byte, sha256.Size)
	_, _ = rand.Read(salt) // never fails, says package rand
	hash, err := pbkdf2.Key(sha256.New, plain, salt, passwordRounds, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	return &password{salt: salt, hash: hash}, nil
}

// setAt is the password as it is kept from an instant on.
func (p *password) setAt(now time.Time) *password {
	if p == nil {
		return nil
	}
	return &password{salt: p.salt, hash: p.hash, changedAt: now}
}

// is reports whether plain is the password.
func (p *password) is(plain string) (bool, error) {
	hash, err := pbkdf2.Key(sha256.New, plain, p.salt, passwordRounds, sha256.Size)
	if err != nil {
		return false, fmt.Errorf("hash password: %w", err)
	}
	return subtle.ConstantTimeCompare(hash, p.hash) == 1, nil
}

// checkPassword refuses a password that Clerk's default policy refuses.
func checkPassword(plain string) error {
	switch {
	case len([]rune(plain)) < minPassword:
		return refuseParam(ErrPasswordTooShort, passwordField, "Passwords must be %d characters or more.", minPassword)
	case len(plain) > maxPassword:
		return refuseParam(ErrPasswordTooLong, passwordField, "Passwords must be less than %d characters.", maxPassword)
	}
	switch plain {
	case "password", "password1", "password123", "12345678", "123456789", "1234567890", "qwertyuiop", "iloveyou":
		return refuseParam(ErrPasswordPwned, passwordField, "Password has been found in an online data breach.")
	default:
		return nil
	}
}
