package webhooks_test

import (
	"encoding/base64"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/webhooks"
)

const messageID = "msg_2abcdefghijklmnopqrstuvwxyz"

// newSecret returns a signing secret; the same for the same seed.
func newSecret(seed uint64) string { return svixsim.NewSecret(rand.New(rand.NewPCG(seed, 1))) }

func newVerifier(tb testing.TB, secrets ...string) *webhooks.Verifier {
	tb.Helper()
	v, err := webhooks.NewVerifier(secrets)
	require.NoError(tb, err)
	return v
}

// verify reads the headers of a request and checks the body, as the handler does.
func verify(v *webhooks.Verifier, h http.Header, body []byte) (webhooks.Signature, error) {
	signature, err := webhooks.ReadSignature(h, time.Now())
	if err != nil {
		return webhooks.Signature{}, err
	}
	return signature, v.Verify(signature, body)
}

// sign returns the signature of one attempt.
func sign(tb testing.TB, secret, id string, at time.Time, body string) string {
	tb.Helper()
	wh, err := svix.NewWebhook(secret)
	require.NoError(tb, err)
	signature, err := wh.Sign(id, at, []byte(body))
	require.NoError(tb, err)
	return signature
}

func header(id string, at time.Time, signature string) http.Header {
	h := http.Header{}
	h.Set("Svix-Id", id)
	h.Set("Svix-Timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("Svix-Signature", signature)
	return h
}

// signed returns the headers of a message that is signed now.
func signed(tb testing.TB, secret, body string) http.Header {
	tb.Helper()
	now := time.Now()
	return header(messageID, now, sign(tb, secret, messageID, now, body))
}

// TestVerifier_AcceptsThePublishedVector moves the clock of a synctest bubble to the instant of
// Svix' published example.
func TestVerifier_AcceptsThePublishedVector(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const body, signature = `{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
		at := time.Unix(1614265330, 0)
		<-time.After(time.Until(at))
		v := newVerifier(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
		got, err := verify(v, header("msg_p5jXN8AQM9LWM0D4loKWxJek", at, signature), []byte(body))
		require.NoError(t, err)
		require.Equal(t, "msg_p5jXN8AQM9LWM0D4loKWxJek", got.ID)
		require.Equal(t, at, got.SignedAt)
	})
}

// TestNewVerifier_RefusesThePublishedShortSecret: the library agrees with Svix' other example, but
// its secret has only 18 bytes, so that Rolecall refuses it.
func TestNewVerifier_RefusesThePublishedShortSecret(t *testing.T) {
	t.Parallel()
	const secret = "whsec_plJ3nmyCDGBKInavdOK15jsl"
	signature := sign(t, secret, "msg_loFOjxBNrRLzqYUf", time.Unix(1731705121, 0), `{"event_type":"ping","data":{"success":true}}`)
	require.Equal(t, "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=", signature)
	_, err := webhooks.NewVerifier([]string{secret})
	require.ErrorContains(t, err, "has 18 bytes")
}

func TestNewVerifier_RefusesBadSecrets(t *testing.T) {
	t.Parallel()
	encode := func(n int) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n))) }
	for name, secrets := range map[string][]string{
		"none":             nil,
		"empty":            {""},
		"prefix alone":     {"whsec_"},
		"without prefix":   {encode(24)},
		"other prefix":     {"sk_live_" + encode(24)},
		"23 bytes":         {"whsec_" + encode(23)},
		"not base64":       {"whsec_not*base64*" + encode(24)},
		"blank at the end": {"whsec_" + encode(24) + " "},
		"second is empty":  {newSecret(1), ""},
		"second is short":  {newSecret(1), "whsec_" + encode(8)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := webhooks.NewVerifier(secrets)
			require.Error(t, err)
			for _, secret := range secrets {
				if key := strings.TrimPrefix(secret, "whsec_"); key != "" {
					require.NotContains(t, err.Error(), key)
				}
			}
		})
	}
	newVerifier(t, "whsec_"+encode(24))
}

func TestVerifier_EitherOfTwoSecretsSuffices(t *testing.T) {
	t.Parallel()
	const body = `{"type":"user.created"}`
	v := newVerifier(t, newSecret(1), newSecret(2))
	for _, seed := range []uint64{1, 2} {
		got, err := verify(v, signed(t, newSecret(seed), body), []byte(body))
		require.NoError(t, err)
		require.Equal(t, messageID, got.ID)
	}
	_, err := verify(v, signed(t, newSecret(3), body), []byte(body))
	require.ErrorIs(t, err, webhooks.ErrSignature)
}

// TestVerifier_OneValidSignatureSuffices: in a header with several entries, one valid v1 suffices.
func TestVerifier_OneValidSignatureSuffices(t *testing.T) {
	t.Parallel()
	const body = `{}`
	now := time.Now()
	v := newVerifier(t, newSecret(1))
	ours, theirs := sign(t, newSecret(1), messageID, now, body), sign(t, newSecret(2), messageID, now, body)
	_, bare, _ := strings.Cut(ours, ",")
	for name, tc := range map[string]struct {
		signature string
		valid     bool
	}{
		"ours":                      {ours, true},
		"ours last":                 {theirs + " " + ours, true},
		"ours first":                {ours + " " + theirs, true},
		"unknown version before":    {"v2," + bare + " " + ours, true},
		"asymmetric version before": {"v1a," + bare + " " + ours, true},
		"entry without a version":   {"garbage " + ours, true},
		"theirs":                    {theirs, false},
		"unknown version alone":     {"v2," + bare, false},
		"version alone":             {"v1,", false},
		"no version":                {bare, false},
		"no separator":              {"v1" + bare, false},
		"separated by commas":       {theirs + "," + ours, false},
		"cut off":                   {ours[:len(ours)-1], false},
		"blank":                     {" ", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := verify(v, header(messageID, now, tc.signature), []byte(body))
			if tc.valid {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, webhooks.ErrSignature)
			}
		})
	}
}

func TestReadSignature_RefusesBadHeaders(t *testing.T) {
	t.Parallel()
	const body = `{}`
	v := newVerifier(t, newSecret(1))
	now := time.Now()
	withID := func(id string) func(http.Header) { // the signature is for this id
		return func(h http.Header) {
			h.Set("Svix-Id", id)
			h.Set("Svix-Signature", sign(t, newSecret(1), id, now, body))
		}
	}
	change := map[string]func(http.Header){
		"timestamp isn't a number": func(h http.Header) { h.Set("Svix-Timestamp", "soon") },
		"timestamp is a fraction":  func(h http.Header) { h.Set("Svix-Timestamp", "1731705121.5") },
		"timestamp is too large":   func(h http.Header) { h.Set("Svix-Timestamp", "99999999999999999999") },
		"id with a blank":          withID("msg_1 2"),
		"id with a line break":     withID("msg_1\n"),
		"id with a NUL":            withID("msg_\x00"),
		"id that isn't ASCII":      withID("msg_é"),
		"id that is too long":      withID(strings.Repeat("m", 256)),
		"webhook- header fills in": func(h http.Header) { h.Set("Webhook-Id", h.Get("Svix-Id")); h.Del("Svix-Id") },
	}
	for _, name := range []string{"Svix-Id", "Svix-Timestamp", "Svix-Signature"} {
		change["missing "+name] = func(h http.Header) { h.Del(name) }
		change["empty "+name] = func(h http.Header) { h.Set(name, "") }
		change["twice "+name] = func(h http.Header) { h.Add(name, h.Get(name)) }
	}
	for name, change := range change {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := header(messageID, now, sign(t, newSecret(1), messageID, now, body))
			change(h)
			_, err := verify(v, h, []byte(body))
			require.ErrorIs(t, err, webhooks.ErrHeaders)
			require.NotErrorIs(t, err, webhooks.ErrSignature)
		})
	}
	h := header(messageID, now, sign(t, newSecret(1), messageID, now, body))
	withID(strings.Repeat("m", 255))(h)
	h.Set("Webhook-Id", "msg_other") // ignored beside Svix' three headers
	got, err := verify(v, h, []byte(body))
	require.NoError(t, err)
	require.Len(t, got.ID, 255)
}

func TestReadSignature_TimestampMayBeFiveMinutesOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		const body = `{}`
		v := newVerifier(t, newSecret(1))
		for offset, valid := range map[time.Duration]bool{
			0:                            true,
			5 * time.Minute:              true,
			-5 * time.Minute:             true,
			5*time.Minute + time.Second:  false,
			-5*time.Minute - time.Second: false,
			-24 * time.Hour:              false,
			24 * time.Hour:               false,
		} {
			at := time.Now().Add(offset)
			_, err := verify(v, header(messageID, at, sign(t, newSecret(1), messageID, at, body)), []byte(body))
			if valid {
				require.NoError(t, err, offset)
			} else {
				require.ErrorIs(t, err, webhooks.ErrSignature, offset)
			}
		}
	})
}

func TestVerifier_SignedPartsCannotBeChanged(t *testing.T) {
	t.Parallel()
	const body = `{"type":"user.deleted","data":{"id":"user_1"}}`
	v := newVerifier(t, newSecret(1))
	now := time.Now()
	signature := sign(t, newSecret(1), messageID, now, body)
	_, err := verify(v, header("msg_other", now, signature), []byte(body))
	require.ErrorIs(t, err, webhooks.ErrSignature, "another id would be no repeat")
	_, err = verify(v, header(messageID, now.Add(time.Second), signature), []byte(body))
	require.ErrorIs(t, err, webhooks.ErrSignature)
	_, err = verify(v, header(messageID, now, signature), []byte(body+" "))
	require.ErrorIs(t, err, webhooks.ErrSignature)
	_, err = verify(v, header(messageID, now, signature), nil)
	require.ErrorIs(t, err, webhooks.ErrSignature)
	_, err = verify(v, header(messageID, now, signature), []byte(body))
	require.NoError(t, err)
}

func TestVerifier_RefusesABodyChangedByOneByte(t *testing.T) {
	t.Parallel()
	const body = `{"type":"user.updated","data":{"id":"user_1","banned":true}}`
	v := newVerifier(t, newSecret(1), newSecret(2))
	h := signed(t, newSecret(1), body)
	for i := range len(body) {
		changed := []byte(body)
		changed[i] ^= 1
		_, err := verify(v, h, changed)
		require.ErrorIs(t, err, webhooks.ErrSignature, "byte %d", i)
	}
}
