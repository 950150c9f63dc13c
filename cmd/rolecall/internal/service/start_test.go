package service_test

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

func TestStart_RefusesSettingsThatCannotWork(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(policy, []byte("roles:\n  org:admin: [a]\n  oops: 7\n"), 0o600))
	for name, tc := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"empty secret":      {func(c *config.Config) { c.SigningSecrets = []string{"whsec_"} }, "CLERK_WEBHOOK_SIGNING_SECRET"},
		"short secret":      {func(c *config.Config) { c.SigningSecrets = []string{"whsec_c2hvcnQ="} }, "at least 24"},
		"issuer":            {func(c *config.Config) { c.Issuer = "clerk" }, "CLERK_ISSUER"},
		"service tokens":    {func(c *config.Config) { c.ServiceTokens = "reports:nohash" }, "ROLECALL_SERVICE_TOKEN_HASHES"},
		"no such policy":    {func(c *config.Config) { c.PolicyFile = policy + ".missing" }, "ROLECALL_POLICY_FILE"},
		"broken policy":     {func(c *config.Config) { c.PolicyFile = policy }, "oops"},
		"port taken":        {func(c *config.Config) { c.ListenAddr = taken.Addr().String() }, "listen for web"},
		"admin port taken":  {func(c *config.Config) { c.AdminAddr = taken.Addr().String() }, "listen for admin"},
		"no database there": {func(c *config.Config) { c.DatabaseURL = "postgres://nobody@127.0.0.1:1/none" }, "connect to Postgres"},
		"not a URL":         {func(c *config.Config) { c.DatabaseURL = "postgres://%zz" }, "DATABASE_URL"},
		"never migrated":    {func(c *config.Config) { c.DatabaseURL = pgtest.EmptyURL(t) }, "rolecall migrate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := service.Start(t.Context(), servicetest.Settings(t, tc.change), config.Parts{Web: true, Workers: true}, slog.New(slog.DiscardHandler))
			require.ErrorContains(t, err, tc.want)
		})
	}
}
