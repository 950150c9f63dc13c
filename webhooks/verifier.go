package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	svix "github.com/svix/svix-webhooks/go"

	clerksync "github.com/callmine/rolecall/sync"
)

const (
	secretPrefix = "whsec_"
	// minSecretBytes is the length of Svix' shortest secrets. With an empty secret, any sender
	// could sign.
	minSecretBytes = 24
)

// Verifier checks signatures against one or more signing secrets, any of which may match. During a
// rotation, two secrets are valid at once.
type Verifier struct{ secrets []secret }

type secret struct {
	key     []byte
	webhook *svix.Webhook
}

// NewVerifier returns a verifier for signing secrets as Clerk's dashboard shows them: "whsec_" and
// base64. It refuses an empty list, and secrets that lack the prefix, aren't base64 or have fewer
// than 24 bytes. Errors name a secret only by its position.
func NewVerifier(secrets []string) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, errors.New("webhook signing secret is missing")
	}
	v := &Verifier{}
	for i, shown := range secrets {
		encoded, ok := strings.CutPrefix(shown, secretPrefix)
		if !ok {
			return nil, fmt.Errorf("webhook signing secret %d doesn't begin with %s", i+1, secretPrefix)
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("webhook signing secret %d isn't base64 after %s", i+1, secretPrefix)
		}
		if len(key) < minSecretBytes {
			return nil, fmt.Errorf("webhook signing secret %d has %d bytes, needs at least %d", i+1, len(key), minSecretBytes)
		}
		wh, err := svix.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("webhook signing secret %d: %w", i+1, err)
		}
		v.secrets = append(v.secrets, secret{key: key, webhook: wh})
	}
	return v, nil
}

// Signature is the content of a request's signature headers, not yet verified: see
// [Verifier.Verify].
type Signature struct {
	ID       string    // svix-id, or webhook-id
	SignedAt time.Time // svix-timestamp: the time of this attempt, not of the event

	header http.Header // only the headers that count, under Svix' names
}

// Reasons to refuse a request. They are for logs and metrics, never for the sender.
var (
	ErrHeaders   = errors.New("signature headers are missing or malformed")
	ErrSignature = errors.New("no signature is valid")
)

// headerNames are the headers of one signature.
type headerNames struct{ id, timestamp, signature string }

// svixHeaders are the names under which Svix signs for Clerk. Every signature is verified under
// them.
func svixHeaders() headerNames { return headerNames{"svix-id", "svix-timestamp", "svix-signature"} }

// standardHeaders are the names of the Standard Webhooks specification for the same signature.
func standardHeaders() headerNames {
	return headerNames{"webhook-id", "webhook-timestamp", "webhook-signature"}
}

// headersOf returns the names that count in a request: Svix' if it has any of them, else the
// standard's. The two families are never mixed. So a delivery is known by the id that was signed.
func headersOf(header http.Header) headerNames {
	for _, name := range svixHeaders().all() {
		if len(header.Values(name)) > 0 {
			return svixHeaders()
		}
	}
	for _, name := range standardHeaders().all() {
		if len(header.Values(name)) > 0 {
			return standardHeaders()
		}
	}
	return svixHeaders()
}

func (n headerNames) all() []string { return []string{n.id, n.timestamp, n.signature} }

// Verify checks that a secret signed the raw bytes of a request's body. Its error is
// [ErrSignature].
func (v *Verifier) Verify(signature Signature, body []byte) error {
	for _, secret := range v.secrets {
		if secret.mayHaveSigned(signature, body) && secret.webhook.Verify(body, signature.header) == nil {
			return nil
		}
	}
	return ErrSignature
}

// mayHaveSigned reports whether the header has the body's signature by this secret. The library
// decides, but copies the body twice for each secret. So it is only asked about bodies that pass
// this check.
func (s secret) mayHaveSigned(signature Signature, body []byte) bool {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(signature.ID + "." + strconv.FormatInt(signature.SignedAt.Unix(), 10) + "."))
	mac.Write(body)
	expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for versioned := range strings.SplitSeq(signature.header.Get(svixHeaders().signature), " ") {
		version, rest, _ := strings.Cut(versioned, ",")
		encoded, _, _ := strings.Cut(rest, ",") // the library ignores a second comma and the rest, too
		if hmac.Equal([]byte(version+","+encoded), expected) {
			return true
		}
	}
	return false
}

// tolerance is how far a timestamp may be from now, as in the svix library.
const tolerance = 5 * time.Minute

// ReadSignature reads the signature headers of a request, and checks them without the body. Each
// header must be there once, in the right form. The timestamp must be within the tolerance of now.
// Its errors wrap [ErrHeaders] or [ErrSignature].
func ReadSignature(header http.Header, now time.Time) (Signature, error) {
	s := Signature{header: make(http.Header, 3)}
	names, svixNames := headersOf(header), svixHeaders().all()
	for i, name := range names.all() {
		values := header.Values(name)
		if len(values) != 1 || values[0] == "" {
			return Signature{}, fmt.Errorf("%w: %d values of %s", ErrHeaders, len(values), name)
		}
		s.header.Set(svixNames[i], values[0])
	}
	s.ID = header.Get(names.id)
	if len(s.ID) > clerksync.MaxID || strings.ContainsFunc(s.ID, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return Signature{}, fmt.Errorf("%w: %s must be at most 255 visible ASCII characters", ErrHeaders, names.id)
	}
	seconds, err := strconv.ParseInt(header.Get(names.timestamp), 10, 64)
	if err != nil {
		return Signature{}, fmt.Errorf("%w: %s isn't a number", ErrHeaders, names.timestamp)
	}
	s.SignedAt = time.Unix(seconds, 0)
	if off := now.Sub(s.SignedAt).Abs(); off > tolerance+time.Second { // the library drops fractions of a second
		return Signature{}, fmt.Errorf("%w: %s is more than 5 minutes from now", ErrSignature, names.timestamp)
	}
	return s, nil
}
