package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
)

// TestURLsAreRedacted: two servers can be told apart, and no password is printed, wherever it stands.
func TestURLsAreRedacted(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"postgres://u:opensesame@db.test:5433/app?sslmode=disable": "postgres://u:xxxxx@db.test:5433/app?sslmode=disable",
		"postgres:///app?host=%2Fvar%2Fone&port=5433&user=u":       "postgres:///app?host=%2Fvar%2Fone&port=5433&user=u",
		"postgres://db/app?password=opensesame&sslmode=require":    "postgres://db/app?password=xxxxx&sslmode=require",
		"postgres://db/app?sslkey=k&ss%6Cpassword=opensesame":      "postgres://db/app?sslkey=xxxxx&sslpassword=xxxxx",
		"postgres://db/app?Password=open;sesame&sslmode=require":   "postgres://db/app?sslmode=require",
		"postgres://db/app#opensesame":                             "postgres://db/app",
		// A password with characters that must be escaped ends where a URL's host, path or query does.
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
		require.Equal(t, want, config.Redact("url", value), value)
	}
	require.Empty(t, config.Redact("all", ""))
}
