package pgdev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// What a data folder contains. There are two locks, because they end at different times. The
// owner's ends with the owner. The processes of the server inherit the server's lock, so it ends
// with the last of them.
const (
	ownerLockName  = "owner.lock"
	serverLockName = "server.lock"
	passwordName   = "password"
	pgdataName     = "pgdata"
	socketName     = "socket"
)

const (
	// dyingTimeout is how long a server may take to end by itself after its owner's death.
	// Immediate shutdown takes milliseconds, and at most five seconds before the postmaster kills
	// processes that don't react.
	dyingTimeout = 6 * time.Second
	// orphanTimeout is how long such a server may take once it was told to end.
	orphanTimeout = 10 * time.Second
)

// InUseError means that a live process owns the data folder, which stays as it was.
type InUseError struct {
	DataDir string
	PID     int // of the owner; 0 if it hadn't written it yet
}

// Error names the folder and the process.
func (e *InUseError) Error() string {
	return fmt.Sprintf("data folder %s is in use by process %d, which runs a server on it: stop that process or choose another folder",
		e.DataDir, e.PID)
}

// cluster is a data folder that this process holds.
type cluster struct {
	place
	acct          account
	owner, server *fileLock
	password      string
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

// claim takes the folder over. It does so at once if the folder is free, and after the end of the
// last owner's server if that is still shutting down. It fails if the owner lives.
func claim(ctx context.Context, p place, acct account) (*cluster, error) {
	c := &cluster{place: p, acct: acct}
	var err error
	c.owner, err = tryLock(c.path(ownerLockName))
	if errors.Is(err, errLocked) {
		return nil, &InUseError{DataDir: c.dir, PID: readPID(c.path(ownerLockName))}
	}
	if err != nil {
		return nil, fmt.Errorf("claim data folder: %w", err)
	}
	if err := c.owner.writePID(os.Getpid()); err != nil {
		return nil, errors.Join(err, c.owner.release())
	}
	if c.server, err = c.awaitPredecessor(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for the end of the last server in %s: %w", c.dir, err), c.owner.release())
	}
	return c, nil
}

// awaitPredecessor waits until the server of a dead owner has ended, and ends it if the kernel
// doesn't.
func (c *cluster) awaitPredecessor(ctx context.Context) (*fileLock, error) {
	path := c.path(serverLockName)
	dying, cancel := context.WithTimeout(ctx, dyingTimeout)
	defer cancel()
	lock, err := awaitLock(dying, path)
	if !errors.Is(err, errLocked) || ctx.Err() != nil {
		return lock, err
	}
	// The server's lock is held, so the server is alive. The owner's lock is free, so the owner is
	// dead. So the process id isn't stale.
	pid := readPID(filepath.Join(c.path(pgdataName), "postmaster.pid"))
	if pid == 0 {
		return nil, err
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		return nil, fmt.Errorf("end orphaned server %d: %w", pid, err)
	}
	told, cancel := context.WithTimeout(ctx, orphanTimeout)
	defer cancel()
	return awaitLock(told, path)
}

// major is the Postgres version that wrote the data; 0 if there is none yet.
func (c *cluster) major() int {
	return readPID(filepath.Join(c.path(pgdataName), "PG_VERSION"))
}

// release gives the folder up: moved to keptDir if that is set, removed if temporary, else left as
// it is.
func (c *cluster) release(keptDir string) error {
	var err error
	switch {
	case keptDir != "":
		err = moveFolder(c.dir, keptDir)
	case c.temporary:
		if err = os.RemoveAll(c.dir); err != nil {
			err = fmt.Errorf("remove temporary data folder: %w", err)
		}
	}
	if dir := fallbackSocketDir(c.dir); len(c.path(socketName)) > maxSocketDir {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	// The locks are released last, so that no process finds the folder unlocked while it is
	// removed.
	return errors.Join(err, c.server.release(), c.owner.release())
}

// moveFolder moves a folder with its owners and permissions, also to another file system.
func moveFolder(from, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make way for kept data: %w", err)
	}
	err := os.Rename(from, to)
	if errors.Is(err, syscall.EXDEV) {
		// Stop's context may have ended by now, and half a copy is worth nothing.
		var out []byte
		if out, err = exec.CommandContext(context.Background(), "cp", "-Rp", from, to).CombinedOutput(); err == nil {
			err = os.RemoveAll(from)
		} else {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
		}
	}
	if err != nil {
		return fmt.Errorf("move data folder to %s: %w", to, err)
	}
	return nil
}
