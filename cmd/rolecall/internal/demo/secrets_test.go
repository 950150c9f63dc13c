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
		SignInURL: "https://accounts.other.test/sign-in", PublicURL: "https://rolecall.other.test",
	}
	var none config.Config
	made.configure(&other, sim)
	made.configure(&none, sim)
	require.Equal(t, none, other)
}

// TestUseDatabase_ReplacesAllSettingsOfAnotherOne, which a .env has for a service in production.
func TestUseDatabase_ReplacesAllSettingsOfAnotherOne(t *testing.T) {
	t.Parallel()
	other := config.Config{
		DatabaseURL: "postgres://db.example.test/app", ReadDatabaseURL: "postgres://reader@db.example.test/app",
		DirectDatabaseURL: "postgres://direct.example.test/app", ReplicaURLs: []string{"postgres://replica.example.test/app"}, MaxConnections: 5,
	}
	useDatabase(&other, "postgres:///own")
	require.Equal(t, config.Config{DatabaseURL: "postgres:///own"}, other)
}
