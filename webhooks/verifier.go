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
	// minSecretBytes is the least that Svix makes. An empty secret would accept whatever anybody
	// signs with nothing.
	minSecretBytes = 24
)

// Verifier checks signatures against one or more signing secrets, of which any may match: while a
// secret is rotated two are valid at once.
type Verifier struct{ secrets []secret }

type secret struct {
	key     []byte
	webhook *svix.Webhook
}

// NewVerifier returns a verifier for signing secrets as Clerk's dashboard shows them: "whsec_" and
// base64. It refuses secrets that are missing, without the prefix, or shorter than 24 bytes. Errors
// name a secret by its position only.
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

// Signature is what the headers of a request say, be it true or not: see [Verifier.Verify].
type Signature struct {
	ID       string    // svix-id, or webhook-id
	SignedAt time.Time // svix-timestamp: of this attempt, not of the event

	header http.Header // the headers that count, alone and under Svix' names
}

// Reasons to refuse a request. They are for logs and metrics, never for the sender.
var (
	ErrHeaders   = errors.New("signature headers are missing or malformed")
	ErrSignature = errors.New("no signature is valid")
)

// headerNames are the headers of one signature.
type headerNames struct{ id, timestamp, signature string }

// svixHeaders are the names under which Svix signs for Clerk. Whatever was signed is verified under
// them.
func svixHeaders() headerNames { return headerNames{"svix-id", "svix-timestamp", "svix-signature"} }

// standardHeaders are the names of the Standard Webhooks specification, for the same signature.
func standardHeaders() headerNames {
	return headerNames{"webhook-id", "webhook-timestamp", "webhook-signature"}
}

// headersOf returns the names that count in a request: Svix' if it has any of them, else the
// standard's. The two are never mixed, and the other ones are never looked at: the id that
// deliveries are deduplicated by is the id that was signed.
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

// mayHaveSigned reports whether the header has the body's signature. The library decides; but it
// copies the body twice for each secret, and so it is only asked about bodies that somebody with a
// secret has signed.
func (s secret) mayHaveSigned(signature Signature, body []byte) bool {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(signature.ID + "." + strconv.FormatInt(signature.SignedAt.Unix(), 10) + "."))
	mac.Write(body)
	expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for versioned := range strings.SplitSeq(signature.header.Get(svixHeaders().signature), " ") {
		version, rest, _ := strings.Cut(versioned, ",")
		encoded, _, _ := strings.Cut(rest, ",") // the library takes what is before a second comma, too
		if hmac.Equal([]byte(version+","+encoded), expected) {
			return true
		}
	}
	return false
}

// tolerance is how far a timestamp may be off, as in the svix library.
const tolerance = 5 * time.Minute

// ReadSignature reads the headers of a request, and checks what can be judged without the body:
// whether there is one of each, of the right form, and with a timestamp of now. Its errors wrap
// [ErrHeaders] or [ErrSignature].
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
		return Signature{}, fmt.Errorf("%w: %s isn't an id", ErrHeaders, names.id)
	}
	seconds, err := strconv.ParseInt(header.Get(names.timestamp), 10, 64)
	if err != nil {
		return Signature{}, fmt.Errorf("%w: %s isn't a number", ErrHeaders, names.timestamp)
	}
	s.SignedAt = time.Unix(seconds, 0)
	if off := now.Sub(s.SignedAt).Abs(); off > tolerance+time.Second { // the library cuts the fraction
		return Signature{}, fmt.Errorf("%w: %s is too far off", ErrSignature, names.timestamp)
	}
	return s, nil
}
