package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/playground"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
	clerksync "github.com/callmine/rolecall/sync"
)

// readPolicy reads the configured policy. To the built-in one, it adds what the custom role of the
// cast may do.
func readPolicy(ctx context.Context, cfg config.Config) (policy.Policy, error) {
	read, err := cfg.Policy(ctx)
	if err == nil && cfg.PolicyFile == "" {
		read.Grants[simulator.RoleAnalyst] = []string{"workspace:read", "analyses:run", "reports:read", "prompts:read", "audit:read"}
	}
	return read, err
}

// lacking returns the permissions of the playground's pages that a policy doesn't grant to admins.
func lacking(grants clerksync.Grants) []string {
	return slices.DeleteFunc(playground.Permissions(), func(p string) bool { return slices.Contains(grants[clerksim.RoleAdmin], p) })
}

// usePolicy lets the service go by a policy: one that isn't configured is written to a file.
func (d *Demo) usePolicy(cfg *config.Config, policy policy.Policy) error {
	if cfg.PolicyFile != "" {
		return nil
	}
	text, err := policy.YAML()
	if err != nil {
		return err
	}
	cfg.PolicyFile = filepath.Join(d.files, "policy.yaml")
	if err := os.WriteFile(cfg.PolicyFile, text, 0o600); err != nil {
		return fmt.Errorf("write the policy: %w", err)
	}
	return nil
}
