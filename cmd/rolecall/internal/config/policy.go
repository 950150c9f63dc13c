package config

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/api/policy"
)

// PolicySource names the file of the policy, or the built-in policy.
func (c Config) PolicySource() string {
	if c.PolicyFile == "" {
		return policy.BuiltIn
	}
	return c.PolicyFile
}

// Policy reads the policy. It gives up when ctx ends.
func (c Config) Policy(ctx context.Context) (policy.Policy, error) {
	if c.PolicyFile == "" {
		return policy.Default()
	}
	read, err := policy.ReadFile(ctx, c.PolicyFile)
	if err != nil {
		return policy.Policy{}, fmt.Errorf("ROLECALL_POLICY_FILE: %w", err)
	}
	return read, nil
}
