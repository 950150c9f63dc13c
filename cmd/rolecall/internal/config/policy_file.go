package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/callmine/rolecall/api"
)

const (
	// maxPolicyFile is, in bytes, far above any policy: Clerk's instances have ten roles of their
	// own. Package api bounds what a file of this size may hold, so that parsing takes a second at
	// most.
	maxPolicyFile = 256 << 10
	// policyReadTimeout bounds one reading of the file. It takes a millisecond, but a network's file system may never answer.
	policyReadTimeout = 10 * time.Second
)

// PolicySource names where the policy stands.
func (c Config) PolicySource() string {
	if c.PolicyFile == "" {
		return api.BuiltInPolicy
	}
	return c.PolicyFile
}

// Policy reads the policy, for no longer than ctx lasts.
func (c Config) Policy(ctx context.Context) (api.Policy, error) {
	if c.PolicyFile == "" {
		grants, err := api.DefaultPolicy()
		return api.Policy{Grants: grants}, err
	}
	ctx, cancel := context.WithTimeout(ctx, policyReadTimeout)
	defer cancel()
	policy, err := readWhile(ctx, func() (api.Policy, error) { return readPolicy(c.PolicyFile) })
	if err != nil {
		return api.Policy{}, fmt.Errorf("ROLECALL_POLICY_FILE: %w", err)
	}
	return policy, nil
}

// readWhile returns what read does, or an error as soon as ctx ends. Nothing can interrupt a reading that hangs: it is left
// alone, so that it keeps nobody from stopping.
func readWhile(ctx context.Context, read func() (api.Policy, error)) (api.Policy, error) {
	var policy api.Policy
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		policy, err = read()
	}()
	select {
	case <-done:
		return policy, err
	case <-ctx.Done():
		return api.Policy{}, fmt.Errorf("read policy: %w", ctx.Err())
	}
}

func readPolicy(name string) (api.Policy, error) {
	text, err := readRegularFile(name, maxPolicyFile)
	if err != nil {
		return api.Policy{}, err
	}
	return api.ParsePolicy(name, text)
}

// readRegularFile reads a file of at most so many bytes. Pipes and devices, which may have no end, are none.
func readRegularFile(name string, most int64) (text []byte, err error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names it; opening a pipe waits for a writer otherwise
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: it is not a regular file", name)
	}
	if text, err = io.ReadAll(io.LimitReader(file, most+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("read %s: it has more than %d bytes", name, most)
	}
	return text, nil
}
