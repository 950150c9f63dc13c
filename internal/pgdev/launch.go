package pgdev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// socketPort only names the socket's file; the folder is the server's own, so it can't clash.
	socketPort = 5432
	// portAttempts bounds the tries with a free port: another process may take it before Postgres
	// does.
	portAttempts = 5
	// sweptAttempts bounds the tries for a temporary folder; a second one was never needed so far.
	sweptAttempts = 3
	// readyInterval is how often a starting server is asked; it starts in 50 to 100 ms.
	readyInterval = 10 * time.Millisecond
)

var errAddressInUse = errors.New("address already in use")

// launch starts a server of our own, step by step. It undoes its steps if one fails.
func launch(ctx context.Context, cfg *Config, s *search) (*Server, error) {
	acct, err := chooseAccount()
	if err != nil {
		return nil, err
	}
	c, err := claimPlace(ctx, cfg, acct)
	if err != nil {
		return nil, err
	}
	process, err := c.start(ctx, cfg, s)
	if err != nil {
		return nil, errors.Join(err, c.release(""))
	}
	return &Server{description: describe(process, c), cluster: c, process: process}, nil
}

// claimPlace chooses a folder and claims it. Another process may sweep a new temporary folder in
// the instant before it is locked; then the next folder is tried.
func claimPlace(ctx context.Context, cfg *Config, acct account) (*cluster, error) {
	for attempt := 1; ; attempt++ {
		p, err := choosePlace(ctx, cfg, acct)
		if err != nil {
			return nil, err
		}
		c, err := claim(ctx, p, acct)
		if err == nil {
			return c, nil
		}
		if !p.temporary || attempt == sweptAttempts {
			return nil, err
		}
	}
}

func describe(p *serverProcess, c *cluster) string {
	var b strings.Builder
	fmt.Fprintf(&b, "PostgreSQL %s from %s, running as %s (process %d), socket in %s",
		p.inst.version, p.inst.binDir, c.acct.name, p.pid, p.socketDir)
	if p.tcpAddr != "" {
		fmt.Fprintf(&b, ", also on %s", p.tcpAddr)
	}
	fmt.Fprintf(&b, ", data in %s", c.dir)
	if c.temporary {
		b.WriteString(" (removed at the end)")
	}
	if c.note != "" {
		fmt.Fprintf(&b, " (%s)", c.note)
	}
	return b.String()
}

func (c *cluster) start(ctx context.Context, cfg *Config, s *search) (*serverProcess, error) {
	inst, err := s.find(ctx, c.acct, c.major())
	if err != nil {
		return nil, err
	}
	if err := c.initialise(ctx, inst); err != nil {
		return nil, err
	}
	socketDir, err := c.socketDir()
	if err != nil {
		return nil, err
	}
	for range portAttempts {
		tcpAddr, port, pickErr := pickPort(ctx, cfg.TCPAddr)
		if pickErr != nil {
			return nil, pickErr
		}
		var p *serverProcess
		p, err = c.spawn(ctx, cfg, &serverProcess{inst: inst, socketDir: socketDir, port: port, tcpAddr: tcpAddr})
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, errAddressInUse) || tcpAddr == cfg.TCPAddr {
			break
		}
	}
	return nil, err
}

// pickPort turns port 0 into a free one. Another process may take it before Postgres does; then the
// caller tries again.
func pickPort(ctx context.Context, wanted string) (addr string, port int, err error) {
	if wanted == "" {
		return "", socketPort, nil
	}
	parsed, err := netip.ParseAddrPort(wanted)
	if err != nil {
		return "", 0, fmt.Errorf("parse TCPAddr: %w", err)
	}
	if parsed.Port() != 0 {
		return wanted, int(parsed.Port()), nil
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", wanted)
	if err != nil {
		return "", 0, fmt.Errorf("find a free port: %w", err)
	}
	addr = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return "", 0, fmt.Errorf("find a free port: %w", err)
	}
	free, err := netip.ParseAddrPort(addr)
	return addr, int(free.Port()), err
}

// spawn starts the postmaster and returns it once it answers. If it doesn't, the process has ended
// when spawn returns.
func (c *cluster) spawn(ctx context.Context, cfg *Config, p *serverProcess) (*serverProcess, error) {
	p.log = &logTail{logger: cfg.Logger}
	p.done = make(chan struct{})
	// The server outlives ctx, which bounds its start only.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), p.inst.postgres(), c.serverArgs(cfg, p)...)
	p.cmd.Dir = "/"
	p.cmd.Env = childEnv()
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.WaitDelay = pipeTimeout
	p.cmd.ExtraFiles = []*os.File{c.server.file} // inherited by every backend; free again after the last one's end
	p.cmd.SysProcAttr = ownedAttr(c.acct, syscall.SIGQUIT)

	exited, err := startOwned(p.cmd)
	if err != nil {
		return nil, fmt.Errorf("run %s as %s: %w", p.inst.postgres(), c.acct.name, err)
	}
	p.pid = p.cmd.Process.Pid
	p.stopping.Store(true) // until it answers, this function reports its end
	go p.watch(exited, cfg.Logger)
	if err := p.awaitReady(ctx); err != nil {
		if endErr := p.end(context.WithoutCancel(ctx), true); endErr != nil {
			err = errors.Join(err, endErr)
		}
		return nil, p.early(err)
	}
	p.stopping.Store(false)
	return p, nil
}

func (c *cluster) serverArgs(cfg *Config, p *serverProcess) []string {
	host := ""
	if p.tcpAddr != "" {
		host, _, _ = net.SplitHostPort(p.tcpAddr) // pickPort parsed it
	}
	args := []string{
		"-D", c.path(pgdataName),
		"-c", "unix_socket_directories=" + p.socketDir,
		"-c", "port=" + strconv.Itoa(p.port),
		"-c", "listen_addresses=" + host,
		"-c", "timezone=UTC",
		"-c", "log_timezone=UTC",
	}
	for name, value := range cfg.Settings {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

// awaitReady waits until the server answers or ends, or ctx ends.
func (p *serverProcess) awaitReady(ctx context.Context) error {
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	target := socketURL(p.socketDir, p.port, defaultDatabase)
	for {
		_, err := serverVersion(ctx, target)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			if strings.Contains(p.log.String(), "Address already in use") {
				return fmt.Errorf("postgres ended at its start (%w): %w", p.exitErr, errAddressInUse)
			}
			return fmt.Errorf("postgres ended at its start: %w", p.exitErr)
		case <-ctx.Done():
			return fmt.Errorf("wait for postgres to answer (%w): %w", err, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
