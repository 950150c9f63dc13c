package service_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestLog_UnsignedRequestsWriteFewLines sends 3,000 unsigned requests of all kinds. The log stays
// short, and the metrics count all of them.
func TestLog_UnsignedRequestsWriteFewLines(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	stranger, err := b.Clerk.SessionToken("user_1", clerksim.TokenOptions{Forgery: clerksim.Tampered})
	require.NoError(t, err)
	expired, err := b.Clerk.SessionToken("user_1", clerksim.TokenOptions{IssuedAt: time.Now().Add(-time.Hour)})
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
	before := strings.Count(b.Log.String(), "\n")
	for i := range rounds {
		response, err := b.Client.Do(kinds[i%len(kinds)]())
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.GreaterOrEqual(t, response.StatusCode, 400)
	}
	require.LessOrEqual(t, strings.Count(b.Log.String(), "\n")-before, 100)
	for _, reason := range []string{"bad_headers", "bad_signature", "signature", "expired", "malformed", "service_token", "missing"} {
		require.Contains(t, b.Log.String(), fmt.Sprintf(`":%q`, reason), "the first of each kind is written")
	}
	_, metrics := b.Text(t, "/metrics")
	each := rounds / len(kinds)
	for _, series := range []string{
		`rolecall_webhook_requests_total{outcome="bad_headers"}`, `rolecall_webhook_requests_total{outcome="bad_signature"}`,
		`rolecall_unauthenticated_total{reason="signature"}`, `rolecall_unauthenticated_total{reason="expired"}`,
	} {
		require.Contains(t, metrics, fmt.Sprintf("%s %d\n", series, each))
	}
	require.Contains(t, metrics, `rolecall_alarm{name="nobody_gets_in"} 0`, "invented and old tokens are no lockout")
}

func unsigned(t *testing.T, b *servicetest.Bundle, method, path, body string, headers ...string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.Web(path), strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return request
}

// TestLockout_NamesTheWrongSettingAtOnce serves with a setting that locks all users out. The
// answer, the log and the alarm name it.
func TestLockout_NamesTheWrongSettingAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrong     func(*servicetest.Bundle, *config.Config)
		claims    map[string]any
		challenge string // of a 401
		seen      func(*servicetest.Bundle) string
	}{
		"issuer": {
			func(_ *servicetest.Bundle, c *config.Config) { c.Issuer = "https://clerk.other.example" }, nil,
			"the token's issuer isn't accepted", func(b *servicetest.Bundle) string { return b.Clerk.Issuer() },
		},
		"origin": {
			func(_ *servicetest.Bundle, c *config.Config) { c.AuthorizedParties = []string{"https://other.example"} }, nil,
			"the token's authorized party isn't accepted", func(b *servicetest.Bundle) string { return b.Clerk.AuthorizedParty() },
		},
		"template": {
			func(*servicetest.Bundle, *config.Config) {}, map[string]any{"sid": nil}, "the token is of no session", func(*servicetest.Bundle) string { return "refusal is session" },
		},
		"audience": {
			func(*servicetest.Bundle, *config.Config) {},
			map[string]any{"aud": "app"},
			"the token was made for another audience",
			func(*servicetest.Bundle) string { return "refusal is audience" },
		},
		"lifetime": {
			func(*servicetest.Bundle, *config.Config) {},
			map[string]any{"exp": time.Now().Add(48 * time.Hour).Unix()},
			"the token lives too long",
			func(*servicetest.Bundle) string { return "refusal is lifetime" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := servicetest.Start(t, pgtest.URL(t), nil, config.Parts{Web: true}, c.wrong)
			token, err := b.Clerk.SessionToken("user_1", clerksim.TokenOptions{Claims: c.claims})
			require.NoError(t, err)
			for range 5 {
				request := unsigned(t, b, http.MethodGet, "/v1/me", "", "Authorization", "Bearer "+token)
				response, err := b.Client.Do(request)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, http.StatusUnauthorized, response.StatusCode)
				require.Equal(t, `Bearer error="invalid_token", error_description="`+c.challenge+`"`, response.Header.Get("WWW-Authenticate"))
			}
			require.Equal(t, 1, strings.Count(b.Log.String(), `"msg":"caller refused"`))
			if c.claims == nil {
				require.Contains(t, b.Log.String(), c.seen(b))
			}
			_, metrics := b.Text(t, "/metrics")
			require.Contains(t, metrics, `rolecall_alarm{name="nobody_gets_in"} 1`)
			found := health.Situation{Own: health.Own{Lockout: b.Service.Lockout()}}.Alarms()
			require.True(t, health.HasAlarm(found, health.AlarmLockout))
			last := found[len(found)-1]
			require.Contains(t, last.Detail, c.seen(b))
			require.Equal(t, c.claims != nil, strings.Contains(last.Advice, "ROLECALL_ACCEPT_TEMPLATE_TOKENS"))
		})
	}
}
