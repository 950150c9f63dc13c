package webhooks_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/webhooks"
)

// TestHandler_RefusesBeforeReadingTheBody: bad headers are refused although reading the body would
// fail.
func TestHandler_RefusesBeforeReadingTheBody(t *testing.T) {
	t.Parallel()
	hourAgo := time.Now().Add(-time.Hour)
	for name, tc := range map[string]struct {
		header  func(b *bundle) http.Header
		outcome webhooks.Outcome
	}{
		"no headers": {func(*bundle) http.Header { return http.Header{} }, webhooks.OutcomeBadHeaders},
		"too old": {func(b *bundle) http.Header {
			return header(messageID, hourAgo, sign(t, b.secret, messageID, hourAgo, userBody))
		}, webhooks.OutcomeBadSignature},
	} {
		b := setup(t)
		answer := b.post(t, tc.header(b), iotest.ErrReader(errors.New("the body was read")))
		require.Equal(t, http.StatusBadRequest, answer.Code, name)
		require.Equal(t, []webhooks.Outcome{tc.outcome}, b.outcomes, name)
	}
}

// TestHandler_DoesNotAcknowledgeAnAbandonedRequest: the sender has given up, but a proxy may still
// pass on the answer.
func TestHandler_DoesNotAcknowledgeAnAbandonedRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.inbox.err = context.Canceled
	require.Equal(t, http.StatusServiceUnavailable, b.postSigned(t, userBody).Code)
	require.Equal(t, []webhooks.Outcome{webhooks.OutcomeAbandoned}, b.outcomes)
}
