package pgdev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// killTimeout is how long an immediate shutdown may take. The postmaster itself kills its
	// remaining processes within five seconds.
	killTimeout = 10 * time.Second
	// pipeTimeout is how long Wait waits for the log's last lines from processes that outlive a
	// killed postmaster.
	pipeTimeout = 2 * time.Second
)

// startOwned starts a command on a thread that lives as long as the command. The kernel's
// parent-death signal is about the thread that forked, not about the process, and Go ends threads
// at any time. The channel gets the command's end.
func startOwned(cmd *exec.Cmd) (<-chan error, error) {
	started := make(chan error, 1)
	exited := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		exited <- cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return exited, nil
}

// childEnv is the environment of initdb and postgres: no secrets of the owner, and no PG* variable
// that would overrule this package.
func childEnv() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// serverProcess is a running postmaster.
type serverProcess struct {
	cmd       *exec.Cmd
	inst      installation
	pid       int
	socketDir string
	port      int
	tcpAddr   string // empty: no TCP
	log       *logTail
	stopping  atomic.Bool
	done      chan struct{}
	exitErr   error // valid once done is closed
}

// watch closes done at the process's end, and logs an end that wasn't asked for.
func (p *serverProcess) watch(exited <-chan error, logger *slog.Logger) {
	p.exitErr = <-exited
	if !p.stopping.Load() {
		logger.Error("postgres ended by itself", "pid", p.pid, "error", p.exitErr, "last_lines", p.log.String())
	}
	close(p.done)
}

// end shuts the server down in order, or at once if its data isn't needed any more or ctx ends.
func (p *serverProcess) end(ctx context.Context, discard bool) error {
	p.stopping.Store(true)
	sig := syscall.SIGINT // fast: terminates sessions, writes a checkpoint
	if discard {
		sig = syscall.SIGQUIT // immediate: no checkpoint
	}
	if err := p.signal(sig); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	if err := p.signal(syscall.SIGQUIT); err != nil {
		return err
	}
	timer := time.NewTimer(killTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

func (p *serverProcess) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to postgres %d: %w", sig, p.pid, err)
	}
	return nil
}

// early is the error of a server that ended, or was given up, before it answered.
func (p *serverProcess) early(reason error) error {
	lines := p.log.String()
	if lines == "" {
		return reason
	}
	return fmt.Errorf("%w; its last lines:\n%s", reason, strings.TrimSpace(lines))
}
