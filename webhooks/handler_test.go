package webhooks_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/testlog"
	clerksync "github.com/callmine/rolecall/sync"
	"github.com/callmine/rolecall/webhooks"
)

const userBody = `{"data":{"id":"user_1","first_name":"Kim"},"instance_id":"ins_1","object":"event","timestamp":1790000000000,"type":"user.updated"}`

// inbox keeps the deliveries it gets, and answers with its fields.
type inbox struct {
	receipt clerksync.Receipt
	err     error
	got     []clerksync.Delivery
}

func (in *inbox) Accept(_ context.Context, d clerksync.Delivery) (clerksync.Receipt, error) {
	in.got = append(in.got, d)
	return in.receipt, in.err
}

// bundle is a handler with everything around it.
type bundle struct {
	inbox    *inbox
	secret   string
	logs     testlog.Lines
	outcomes []webhooks.Outcome
	handler  http.Handler
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{secret: newSecret(1), inbox: &inbox{receipt: clerksync.Receipt{Stored: true}}}
	handler, err := webhooks.NewHandler(webhooks.Config{
		Verifier: newVerifier(t, b.secret), Inbox: b.inbox, Logger: b.logs.Logger(),
		Observe: func(o webhooks.Outcome, took time.Duration) {
			require.GreaterOrEqual(t, took, time.Duration(0))
			b.outcomes = append(b.outcomes, o)
		},
	})
	require.NoError(t, err)
	b.handler = handler
	return b
}

// post sends a body with the given headers.
func (b *bundle) post(t *testing.T, h http.Header, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/clerk", body)
	request.Header = h
	recorder := httptest.NewRecorder()
	b.handler.ServeHTTP(recorder, request)
	return recorder
}

// postSigned sends a body as Clerk would.
func (b *bundle) postSigned(t *testing.T, body string) *httptest.ResponseRecorder {
	t.Helper()
	return b.post(t, signed(t, b.secret, body), strings.NewReader(body))
}

func TestHandler_HandsOverTheRawDelivery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := time.Now()
	require.Equal(t, http.StatusOK, b.postSigned(t, userBody).Code)
	require.Len(t, b.inbox.got, 1)
	d := b.inbox.got[0]
	require.WithinRange(t, d.ReceivedAt, before, time.Now())
	d.ReceivedAt = time.Time{}
	require.Equal(t, clerksync.Delivery{
		ID: messageID, Type: clerksync.UserUpdated, ObjectID: "user_1", InstanceID: "ins_1", OccurredAt: 1790000000000,
		Body: []byte(userBody), BodySHA256: sha256.Sum256([]byte(userBody)), State: clerksync.StateReceived,
	}, d)
}

func TestHandler_HeaderStandsInForAMissingTimestamp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const body = `{"data":{"id":"user_1"},"type":"user.deleted"}`
	at := time.Now().Add(-time.Minute)
	b.post(t, header(messageID, at, sign(t, b.secret, messageID, at, body)), strings.NewReader(body))
	require.Equal(t, at.Unix()*1000, b.inbox.got[0].OccurredAt, "not the time of receiving")
}

func TestHandler_HandsOverUndecodableAsQuarantined(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"empty": "", "no object": "[]", "not UTF-8": "{\"\xff\":1}", "NUL": "\x00"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.inbox.receipt.Quarantined = true
			require.Equal(t, http.StatusOK, b.postSigned(t, body).Code)
			require.Equal(t, clerksync.StateQuarantined, b.inbox.got[0].State)
			require.Equal(t, sha256.Sum256([]byte(body)), b.inbox.got[0].BodySHA256)
			require.Equal(t, []webhooks.Outcome{webhooks.OutcomeQuarantined}, b.outcomes)
		})
	}
}

func TestHandler_AnswersByOutcome(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		receipt clerksync.Receipt
		err     error
		status  int
		outcome webhooks.Outcome
	}{
		"new":                           {clerksync.Receipt{Stored: true}, nil, 200, webhooks.OutcomeAccepted},
		"repeat":                        {clerksync.Receipt{}, nil, 200, webhooks.OutcomeRepeated},
		"repeat with another body":      {clerksync.Receipt{Differs: true}, nil, 200, webhooks.OutcomeDiffering},
		"set aside":                     {clerksync.Receipt{Stored: true, Quarantined: true}, nil, 200, webhooks.OutcomeQuarantined},
		"in place of a quarantined one": {clerksync.Receipt{Stored: true, Differs: true}, nil, 200, webhooks.OutcomeAccepted},
		"not committed":                 {clerksync.Receipt{}, errors.New("disk is full"), 503, webhooks.OutcomeUnavailable},
		"error beside a receipt":        {clerksync.Receipt{Stored: true}, errors.New("unsure"), 503, webhooks.OutcomeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.inbox.receipt, b.inbox.err = tc.receipt, tc.err
			answer := b.postSigned(t, userBody)
			require.Equal(t, tc.status, answer.Code)
			require.Equal(t, []webhooks.Outcome{tc.outcome}, b.outcomes)
			requireHarmless(t, answer)
			require.Equal(t, tc.err != nil, b.logs.String() != "", "only refusals are logged")
			if tc.err != nil {
				require.NotContains(t, answer.Body.String(), tc.err.Error())
			}
		})
	}
}

// requireHarmless requires that an answer doesn't switch off the endpoint.
func requireHarmless(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	require.Empty(t, answer.Header().Values("Webhook-Delivery"))
	require.Equal(t, "text/plain; charset=utf-8", answer.Header().Get("Content-Type"))
}

func TestHandler_TakesPOSTOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		request := httptest.NewRequestWithContext(t.Context(), method, "/webhooks/clerk", strings.NewReader(userBody))
		request.Header = signed(t, b.secret, userBody)
		recorder := httptest.NewRecorder()
		b.handler.ServeHTTP(recorder, request)
		require.Equal(t, http.StatusMethodNotAllowed, recorder.Code, method)
		require.Equal(t, http.MethodPost, recorder.Header().Get("Allow"))
	}
	require.Empty(t, b.inbox.got)
	require.Empty(t, b.outcomes)
}

// TestHandler_RefusalsTellNothing: all refusals have the same answer. Neither the answer nor the
// log has anything from the request or the secret.
func TestHandler_RefusalsTellNothing(t *testing.T) {
	t.Parallel()
	const body = `{"data":{"id":"user_1","first_name":"Confidential"},"type":"user.updated"}`
	for name, tc := range map[string]struct {
		headers func(*testing.T, *bundle) http.Header
		outcome webhooks.Outcome
	}{
		"no headers": {func(*testing.T, *bundle) http.Header { return http.Header{} }, webhooks.OutcomeBadHeaders},
		"no id": {func(t *testing.T, b *bundle) http.Header {
			t.Helper()
			h := signed(t, b.secret, body)
			h.Del("Svix-Id")
			return h
		}, webhooks.OutcomeBadHeaders},
		"malformed timestamp": {func(t *testing.T, b *bundle) http.Header {
			t.Helper()
			h := signed(t, b.secret, body)
			h.Set("Svix-Timestamp", "Confidential")
			return h
		}, webhooks.OutcomeBadHeaders},
		"another secret": {func(t *testing.T, _ *bundle) http.Header {
			t.Helper()
			return signed(t, newSecret(9), body)
		}, webhooks.OutcomeBadSignature},
		"another body": {func(t *testing.T, b *bundle) http.Header {
			t.Helper()
			return signed(t, b.secret, body+" ")
		}, webhooks.OutcomeBadSignature},
		"too old": {func(t *testing.T, b *bundle) http.Header {
			t.Helper()
			at := time.Now().Add(-time.Hour)
			return header(messageID, at, sign(t, b.secret, messageID, at, body))
		}, webhooks.OutcomeBadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			h := tc.headers(t, b)
			answer := b.post(t, h, strings.NewReader(body))
			require.Equal(t, http.StatusBadRequest, answer.Code)
			require.Equal(t, "bad request\n", answer.Body.String())
			requireHarmless(t, answer)
			require.Equal(t, []webhooks.Outcome{tc.outcome}, b.outcomes)
			require.Empty(t, b.inbox.got, "nothing unverified is handed over")
			require.Equal(t, 1, strings.Count(b.logs.String(), "\n"))
			for _, secret := range []string{
				"Confidential", "user_1", "user.updated", strings.TrimPrefix(b.secret, "whsec_"), messageID,
				h.Get("Svix-Signature"),
			} {
				if secret != "" {
					require.NotContains(t, b.logs.String(), secret)
				}
			}
		})
	}
}

func TestHandler_BoundsTheBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	largest := strings.Repeat("x", 1<<20)
	b.inbox.receipt.Quarantined = true
	require.Equal(t, http.StatusOK, b.postSigned(t, largest).Code)
	answer := b.postSigned(t, largest+"x")
	require.Equal(t, http.StatusRequestEntityTooLarge, answer.Code)
	requireHarmless(t, answer)
	require.Equal(t, []webhooks.Outcome{webhooks.OutcomeQuarantined, webhooks.OutcomeTooLarge}, b.outcomes)
	require.Len(t, b.inbox.got, 1)
}

func TestHandler_RefusesABodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	b := setup(t)
	broken := io.MultiReader(strings.NewReader(userBody), iotest.ErrReader(io.ErrUnexpectedEOF))
	answer := b.post(t, signed(t, b.secret, userBody), broken)
	require.Equal(t, http.StatusBadRequest, answer.Code, "although the part that arrived was signed")
	require.Equal(t, "bad request\n", answer.Body.String())
	require.Equal(t, []webhooks.Outcome{webhooks.OutcomeUnreadable}, b.outcomes)
	require.Empty(t, b.inbox.got)
}

func TestConfig_NamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	whole := webhooks.Config{Verifier: newVerifier(t, newSecret(1)), Inbox: &inbox{}, Logger: slog.New(slog.DiscardHandler)}
	_, err := webhooks.NewHandler(whole)
	require.NoError(t, err, "Observe is optional")
	for name, take := range map[string]func(*webhooks.Config){
		"Verifier": func(c *webhooks.Config) { c.Verifier = nil },
		"Inbox":    func(c *webhooks.Config) { c.Inbox = nil },
		"Logger":   func(c *webhooks.Config) { c.Logger = nil },
	} {
		cfg := whole
		take(&cfg)
		_, err := webhooks.NewHandler(cfg)
		require.ErrorContains(t, err, name)
	}
}
