package svixsim

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"

	svix "github.com/svix/svix-webhooks/go"
)

// secretBytes is the length of the signing secrets that Svix makes, and the least that it accepts.
const secretBytes = 24

// NewSecret makes a webhook signing secret in the form that Svix uses: "whsec_" and the base64 of
// 24 bytes. It is as unpredictable as rng is: fit for tests, not for anything that must stay
// secret.
func NewSecret(rng *rand.Rand) string {
	key := make([]byte, 0, secretBytes)
	for len(key) < secretBytes {
		draw := rng.Uint64()
		for range 8 {
			key = append(key, byte(draw))
			draw >>= 8
		}
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

// CheckSecret refuses a signing secret that Svix couldn't have made.
func CheckSecret(secret string) error {
	if _, err := svix.NewWebhook(secret); err != nil {
		return fmt.Errorf("read signing secret: %w", err)
	}
	return nil
}
