package config

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/callmine/rolecall/internal/clerkapi"
)

// RequireClerk returns an error if there is no secret key, without which Clerk can't be asked.
func (c Config) RequireClerk() error {
	if c.SecretKey == "" {
		return errors.New("CLERK_SECRET_KEY is missing: the secret key of the Clerk instance")
	}
	return nil
}

// OpenClerk returns a client of Clerk's Backend API with the configured address, key and rate.
func (c Config) OpenClerk(logger *slog.Logger, observe func(clerkapi.Call)) (*clerkapi.Client, error) {
	client, err := clerkapi.New(clerkapi.Config{
		URL: c.APIURL, SecretKey: c.SecretKey, CallsPerSecond: c.ClerkRate, Logger: logger, Observe: observe,
	})
	if err != nil {
		return nil, fmt.Errorf("CLERK_API_URL, CLERK_SECRET_KEY, ROLECALL_CLERK_RATE: %w", err)
	}
	return client, nil
}
