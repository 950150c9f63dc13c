package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestUnsignedRequestsWriteFewLines sends 3,000 requests of everything that anybody may send. The log stays short, and the metrics
// count all of them.
func TestUnsignedRequestsWriteFewLines(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	stranger, err := b.clerk.SessionToken("user_1", clerksim.TokenOptions{Forgery: clerksim.Tampered})
	require.NoError(t, err)
	expired, err := b.clerk.SessionToken("user_1", clerksim.TokenOptions{IssuedAt: time.Now().Add(-time.Hour)})
	require.NoError(t, err)
	now := fmt.Sprint(time.Now().Unix())
	kinds := []func() *http.Request{
		func() *http.Request { return unsigned(t, b, http.MethodPost, "/webhooks/clerk", "{}") },
		func() *http.Request {
			return unsigned(t, b, http.MethodPost, "/webhooks/clerk", "{}", "svix-id", "msg_1", "svix-timestamp", now, "svix-signature", "v1,x")
		},
		func() *http.Request { return unsigned(t, b, http.MethodGet, "/v1/me?a;b", "") },
		func() *http.Request {
			return unsigned(t, b, http.MethodGet, "/v1/me", "", "Authorization", "Bearer "+stranger)
		},
		func() *http.Request {
			return unsigned(t, b, http.MethodGet, "/v1/me", "", "Authorization", "Bearer "+expired)
		},
		func() *http.Request { return unsigned(t, b, http.MethodGet, "/v1/me", "", "Authorization", "Bearer x") },
		func() *http.Request {
			return unsigned(t, b, http.MethodGet, "/v1/me", "", "Authorization", "Bearer rcs_x")
		},
		func() *http.Request { return unsigned(t, b, http.MethodPost, "/v1/authorize", "{") },
		func() *http.Request { return unsigned(t, b, http.MethodGet, "/nowhere", "") },
	}
	const rounds = 3006 // the same number of each
	before := strings.Count(b.log.String(), "\n")
	for i := range rounds {
		response, err := b.client.Do(kinds[i%len(kinds)]())
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.GreaterOrEqual(t, response.StatusCode, 400)
	}
	require.LessOrEqual(t, strings.Count(b.log.String(), "\n")-before, 100)
	for _, reason := range []string{"bad_headers", "bad_signature", "signature", "expired", "malformed", "service_token", "missing"} {
		require.Contains(t, b.log.String(), fmt.Sprintf(`":%q`, reason), "the first of each kind is written")
	}
	_, metrics := b.text(t, "/metrics")
	each := rounds / len(kinds)
	for _, series := range []string{
		`rolecall_webhook_requests_total{outcome="bad_headers"}`, `rolecall_webhook_requests_total{outcome="bad_signature"}`,
		`rolecall_unauthenticated_total{reason="signature"}`, `rolecall_unauthenticated_total{reason="expired"}`,
	} {
		require.Contains(t, metrics, fmt.Sprintf("%s %d\n", series, each))
	}
	require.Contains(t, metrics, `rolecall_alarm{name="nobody_gets_in"} 0`, "invented and old tokens lock nobody out")
}

func unsigned(t *testing.T, b *bundle, method, path, body string, headers ...string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.web(path), strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return request
}

// TestAWrongSettingShowsAtOnce serves with a setting that locks everybody out: the answer, the log and the alarm say which.
func TestAWrongSettingShowsAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrong     func(*bundle, *config.Config)
		claims    map[string]any
		challenge string // of a 401
		seen      func(*bundle) string
	}{
		"issuer": {
			func(_ *bundle, c *config.Config) { c.Issuer = "https://clerk.other.example" }, nil,
			"the token's issuer isn't accepted", func(b *bundle) string { return b.clerk.Issuer() },
		},
		"origin": {
			func(_ *bundle, c *config.Config) { c.AuthorizedParties = []string{"https://other.example"} }, nil,
			"the token's authorized party isn't accepted", func(b *bundle) string { return b.clerk.AuthorizedParty() },
		},
		"template": {
			func(*bundle, *config.Config) {}, map[string]any{"sid": nil}, "the token is of no session", func(*bundle) string { return "for session" },
		},
		"audience": {
			func(*bundle, *config.Config) {},
			map[string]any{"aud": "app"},
			"the token was made for another audience",
			func(*bundle) string { return "for audience" },
		},
		"lifetime": {
			func(*bundle, *config.Config) {},
			map[string]any{"exp": time.Now().Add(48 * time.Hour).Unix()},
			"the token lives too long",
			func(*bundle) string { return "for lifetime" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBundle(t, pgtest.URL(t), nil, config.Parts{Web: true}, c.wrong)
			token, err := b.clerk.SessionToken("user_1", clerksim.TokenOptions{Claims: c.claims})
			require.NoError(t, err)
			for range 5 {
				request := unsigned(t, b, http.MethodGet, "/v1/me", "", "Authorization", "Bearer "+token)
				response, err := b.client.Do(request)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, http.StatusUnauthorized, response.StatusCode)
				require.Equal(t, `Bearer error="invalid_token", error_description="`+c.challenge+`"`, response.Header.Get("WWW-Authenticate"))
			}
			require.Equal(t, 1, strings.Count(b.log.String(), `"msg":"caller refused"`))
			if c.claims == nil {
				require.Contains(t, b.log.String(), c.seen(b))
			}
			_, metrics := b.text(t, "/metrics")
			require.Contains(t, metrics, `rolecall_alarm{name="nobody_gets_in"} 1`)
			found := health.Situation{Lockout: b.program.Lockout()}.Alarms()
			require.True(t, health.HasAlarm(found, health.AlarmNobody))
			last := found[len(found)-1]
			require.Contains(t, last.Detail, c.seen(b))
			require.Equal(t, c.claims != nil, strings.Contains(last.Advice, "ROLECALL_ACCEPT_TEMPLATE_TOKENS"))
		})
	}
}
