package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConfig_RedactsDatabaseURLs: servers can be told apart, and no password is printed, in any
// form.
func TestConfig_RedactsDatabaseURLs(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"postgres://u:opensesame@db.test:5433/app?sslmode=disable": "postgres://u:xxxxx@db.test:5433/app?sslmode=disable",
		"postgres:///app?host=%2Fvar%2Fone&port=5433&user=u":       "postgres:///app?host=%2Fvar%2Fone&port=5433&user=u",
		"postgres://db/app?password=opensesame&sslmode=require":    "postgres://db/app?password=xxxxx&sslmode=require",
		"postgres://db/app?sslkey=k&ss%6Cpassword=opensesame":      "postgres://db/app?sslkey=xxxxx&sslpassword=xxxxx",
		"postgres://db/app?Password=open;sesame&sslmode=require":   "postgres://db/app?sslmode=require",
		"postgres://db/app#opensesame":                             "postgres://db/app",
		// A password with an unescaped character goes on in the URL's path, query or fragment.
		"postgres://u:12?opensesame@db/app":                  "[redacted]",
		"postgres://u:12/opensesame@db/app":                  "[redacted]",
		"postgres://u:12#opensesame@db/app":                  "[redacted]",
		"postgres://u:opensesame?1@db/app":                   "[redacted]",
		"host=db password=opensesame":                        "[redacted]",
		"postgres:u:opensesame":                              "[redacted]",
		"jdbc:postgresql://u:opensesame@db/app":              "[redacted]",
		"/postgres://u:opensesame@db/app":                    "[redacted]",
		"host=/run user=u password=opensesame://x":           "[redacted]",
		"postgres://db/app?passwd=opensesame&options=-c%20x": "postgres://db/app?options=xxxxx&passwd=xxxxx",
		"": "",
	} {
		require.Equal(t, want, redact("url", value), value)
	}
	require.Empty(t, redact("all", ""))
}

// TestConfig_RedactsWebAddresses: no password is printed, in any form, and an address without
// secrets is printed unchanged.
func TestConfig_RedactsWebAddresses(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"https://api.clerk.com/v1":                       "https://api.clerk.com/v1",
		"https://user:opensesame@clerk.test/jwks":        "https://xxxxx:xxxxx@clerk.test/jwks",
		"https://opensesame@clerk.test/jwks":             "https://xxxxx:xxxxx@clerk.test/jwks",
		"https://clerk.test/jwks?token=opensesame#x":     "https://clerk.test/jwks?token=xxxxx",
		"https://user:open/sesame@clerk.test/jwks":       "[redacted]",
		"https:/user:opensesame@clerk.test/jwks":         "[redacted]",
		"user:opensesame@clerk.test":                     "[redacted]",
		"https://user:%zzopensesame@clerk.test":          "[redacted]",
		"clerk.test":                                     "clerk.test",
		"https://a.test,https://u:opensesame@b.test:300": "https://a.test,https://xxxxx:xxxxx@b.test:300",
	} {
		require.Equal(t, want, redact("web", value), value)
	}
	require.Equal(t, "[redacted]", redact("", "sk_live_opensesame"), "a secret in another setting")
	require.Equal(t, "https://clerk.example.com", redact("web", "https://clerk.example.com"))
}
