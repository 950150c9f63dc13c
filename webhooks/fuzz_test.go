package webhooks_test

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzVerify: requests without the secret's signature are refused. The secret differs in each
// process. A signed body is accepted, and refused once one byte of it is changed.
func FuzzVerify(f *testing.F) {
	key := make([]byte, 24)
	_, err := rand.Read(key)
	require.NoError(f, err)
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
	v := newVerifier(f, secret)

	now := time.Now()
	for _, signature := range []string{
		"", "v1,", "v1,AAAA v1,BBBB", "v2,x v1a,y", ",", "v1", sign(f, newSecret(1), messageID, now, `{}`),
		"v1," + base64.StdEncoding.EncodeToString(make([]byte, 32)),
	} {
		f.Add(messageID, strconv.FormatInt(now.Unix(), 10), signature, []byte(`{}`), uint(0))
	}
	f.Add("", "-1", "v1,=", []byte(nil), uint(1))
	f.Add("msg_\x00", "9223372036854775807", " ", []byte("\xff"), uint(1<<20))
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte, position uint) {
		for _, prefix := range []string{"Svix", "Webhook"} {
			h := http.Header{prefix + "-Id": {id}, prefix + "-Timestamp": {timestamp}, prefix + "-Signature": {signature}}
			_, err := verify(v, h, body)
			require.Error(t, err)
		}
		now := time.Now()
		h := header(messageID, now, sign(t, secret, messageID, now, string(body)))
		got, err := verify(v, h, body)
		require.NoError(t, err)
		require.Equal(t, messageID, got.ID)
		if len(body) > 0 {
			body = append([]byte(nil), body...) // the fuzzer's own bytes must stay
			body[position%uint(len(body))] ^= 1
			_, err = verify(v, h, body)
			require.Error(t, err)
		}
	})
}
