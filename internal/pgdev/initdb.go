package pgdev

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// initialise makes sure that the folder holds a complete cluster. It creates the cluster under
// another name and renames it, so that an interrupted one never looks complete.
func (c *cluster) initialise(ctx context.Context, inst installation) error {
	if err := c.ensurePassword(); err != nil {
		return err
	}
	if _, err := os.Stat(c.path(pgdataName)); err == nil {
		return nil
	}
	var err error
	// macOS and old distributions have no C.UTF-8; C sorts the same way, by code point.
	for _, locale := range []string{"C.UTF-8", "C"} {
		if err = c.initdb(ctx, inst, locale); err == nil {
			break
		}
		if !strings.Contains(err.Error(), "invalid locale") {
			return err
		}
	}
	if err != nil {
		return err
	}
	if err := os.Rename(c.path(partialName), c.path(pgdataName)); err != nil {
		return fmt.Errorf("put the new cluster in place: %w", err)
	}
	return nil
}

const partialName = pgdataName + ".partial"

func (c *cluster) initdb(ctx context.Context, inst installation, locale string) error {
	partial := c.path(partialName)
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("remove a half-made cluster: %w", err)
	}
	args := []string{
		"--pgdata", partial, "--username", superuser, "--encoding", "UTF8", "--locale", locale, "--no-instructions",
		// The permissions of the socket's folder decide who may connect by it. TCP has no such
		// protection, hence the password.
		"--auth-local", "trust", "--auth-host", "scram-sha-256", "--pwfile", c.path(passwordName),
	}
	if c.temporary {
		args = append(args, "--no-sync") // saves a quarter of the time; this data is lost with the machine anyway
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, inst.initdb(), args...)
	cmd.Dir = "/" // the current folder may be closed to the account
	cmd.Env = childEnv()
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.ExtraFiles = []*os.File{c.server.file} // the next owner waits for it
	cmd.SysProcAttr = ownedAttr(c.acct, syscall.SIGKILL)
	exited, err := startOwned(cmd)
	if err != nil {
		return fmt.Errorf("run %s as %s: %w", inst.initdb(), c.acct.name, err)
	}
	if err := <-exited; err != nil {
		return fmt.Errorf("create cluster with %s as %s: %w:\n%s", inst.initdb(), c.acct.name, err, strings.TrimSpace(out.String()))
	}
	return nil
}

// ensurePassword gives the cluster its TCP password. The password is in the data folder, so that a
// cluster that is kept keeps its URL.
func (c *cluster) ensurePassword() error {
	path := c.path(passwordName)
	content, err := os.ReadFile(path)
	if err == nil && len(content) > 0 {
		c.password = strings.TrimSpace(string(content))
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read password of the cluster: %w", err)
	}
	c.password = rand.Text()
	if err := os.WriteFile(path, []byte(c.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password of the cluster: %w", err)
	}
	return c.acct.own(path)
}
