package demo

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/simulator"
)

// TestSecrets_ReplaceAllSettingsOfAnotherClerk, which a .env has for the application's own.
func TestSecrets_ReplaceAllSettingsOfAnotherClerk(t *testing.T) {
	t.Parallel()
	sim, err := simulator.Start(t.Context(), simulator.Config{Seed: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close(context.WithoutCancel(t.Context()))) })
	made, err := newSecrets(1)
	require.NoError(t, err)
	other := config.Config{
		SigningSecrets: []string{"whsec_other"}, Issuer: "https://clerk.other.test", JWKSURL: "https://clerk.other.test/jwks", SecretKey: "sk_test_other",
		APIURL: "https://api.other.test/v1", ClerkReadOnly: true, InstanceID: "ins_other", AuthorizedParties: []string{"https://other.test"}, ClerkRate: 1,
		MaxRemovalRatio: 0.01, ServiceTokens: "other:0/scopes=read",
	}
	var none config.Config
	made.configure(&other, sim)
	made.configure(&none, sim)
	require.Equal(t, none, other)
}
