package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/testlog"
)

// asProgram makes the test's binary run main, with real arguments, signals and exit codes.
const asProgram = "ROLECALL_TEST_PROGRAM"

// process is a command line in a process of its own.
type process struct {
	cmd    *exec.Cmd
	out    testlog.Lines
	log    testlog.Lines // its stderr
	ended  chan struct{}
	client *http.Client
	env    map[string]string
}

// startProcess starts the program with only these settings. It is killed at the test's end.
func startProcess(t *testing.T, env map[string]string, args ...string) *process {
	t.Helper()
	return startBinary(t, os.Args[0], env, args...)
}

// startBinary is [startProcess] of another binary.
func startBinary(t *testing.T, binary string, env map[string]string, args ...string) *process {
	t.Helper()
	p := &process{env: env, ended: make(chan struct{}), client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), binary, args...)
	p.cmd.Env = []string{asProgram + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for name, value := range env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.log
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // ProcessState has the result
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
		if t.Failed() {
			t.Log(p.log.String())
		}
	})
	return p
}

// signal sends a signal to the process.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(s))
}

// exit waits for the end and returns the exit code; -1 if a signal ended the process.
func (p *process) exit(t *testing.T, patience time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		require.Fail(t, "the process didn't end", p.log.String())
		return 0
	}
}

// running reports whether the process hasn't ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// ready asks /readyz; 0 stands for no answer.
func (p *process) ready(ctx context.Context) (status int, text string) {
	return servicetest.Fetch(ctx, p.client, "http://"+p.env["ROLECALL_ADMIN_ADDR"]+"/readyz")
}

// web asks for a page of the public side; 0 stands for no answer.
func (p *process) web(ctx context.Context, path string) (status int, text string) {
	return servicetest.Fetch(ctx, p.client, "http://"+p.env["ROLECALL_LISTEN_ADDR"]+path)
}

// untilReady waits until /readyz is green.
func (p *process) untilReady(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, _ := p.ready(t.Context())
		return status == http.StatusOK || !p.running()
	}, 30*time.Second, 5*time.Millisecond)
	require.True(t, p.running(), p.log.String())
}
