package webhooks_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/webhooks"
)

// standard returns headers under the names of the Standard Webhooks specification.
func standard(h http.Header) http.Header {
	out := http.Header{}
	for _, part := range []string{"Id", "Timestamp", "Signature"} {
		for _, value := range h.Values("Svix-" + part) {
			out.Add("Webhook-"+part, value)
		}
	}
	return out
}

// TestReadSignature_TakesStandardHeaders: a signature counts under either family of names, but the
// two families are never mixed.
func TestReadSignature_TakesStandardHeaders(t *testing.T) {
	t.Parallel()
	const body = `{"type":"user.created"}`
	v, now := newVerifier(t, newSecret(1), newSecret(2)), time.Now()
	ours := func(id string) http.Header { return header(id, now, sign(t, newSecret(2), id, now, body)) }
	forged := func(id string) http.Header { return header(id, now, sign(t, newSecret(3), id, now, body)) }
	both := func(svix, other http.Header) http.Header {
		h := standard(other)
		maps.Copy(h, svix)
		return h
	}
	without := func(h http.Header, name string) http.Header {
		h.Del(name)
		return h
	}
	for name, tc := range map[string]struct {
		header http.Header
		want   string // the id; "" for a refusal
		err    error
	}{
		"standard alone":               {standard(ours("msg_1")), "msg_1", nil},
		"both, equal":                  {both(ours("msg_1"), ours("msg_1")), "msg_1", nil},
		"both, and svix' is the valid": {both(ours("msg_1"), forged("msg_2")), "msg_1", nil},
		"both valid, different ids":    {both(ours("msg_1"), ours("msg_2")), "msg_1", nil},
		"both, and svix' is forged":    {both(forged("msg_1"), ours("msg_2")), "", webhooks.ErrSignature},
		"svix' lacks its id":           {without(both(ours("msg_1"), ours("msg_1")), "Svix-Id"), "", webhooks.ErrHeaders},
		"svix' has its id alone":       {both(http.Header{"Svix-Id": {"msg_1"}}, ours("msg_1")), "", webhooks.ErrHeaders},
		"svix' has an empty id alone":  {both(http.Header{"Svix-Id": {""}}, ours("msg_1")), "", webhooks.ErrHeaders},
		"standard, forged":             {standard(forged("msg_1")), "", webhooks.ErrSignature},
		"standard lacks its signature": {without(standard(ours("msg_1")), "Webhook-Signature"), "", webhooks.ErrHeaders},
		"standard, not an id":          {standard(ours("msg 1")), "", webhooks.ErrHeaders},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := verify(v, tc.header, []byte(body))
			if tc.err != nil {
				require.ErrorIs(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got.ID)
			require.Equal(t, now.Unix(), got.SignedAt.Unix())
		})
	}
	twice := standard(ours("msg_1"))
	twice.Add("Webhook-Id", "msg_1")
	_, err := verify(v, twice, []byte(body))
	require.ErrorIs(t, err, webhooks.ErrHeaders)
}

// TestHandler_TakesStandardHeaders: the delivery has the signed id.
func TestHandler_TakesStandardHeaders(t *testing.T) {
	t.Parallel()
	const body = `{"type":"user.created","data":{"id":"user_1"}}`
	b := setup(t)
	require.Equal(t, http.StatusOK, b.post(t, standard(signed(t, b.secret, body)), strings.NewReader(body)).Code)
	require.Len(t, b.inbox.got, 1)
	require.Equal(t, messageID, b.inbox.got[0].ID)
}
