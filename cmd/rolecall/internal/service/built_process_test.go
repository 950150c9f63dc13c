package service_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/testlog"
)

// builtProcess is a real `rolecall serve` in a process of its own.
type builtProcess struct {
	command    *exec.Cmd
	web, admin string
	log        *testlog.Lines
}

// buildOnce builds the program as for production, without the race detector and its memory, and
// returns its path. TestMain removes its folder.
var buildOnce = sync.OnceValues(func() (binary string, err error) {
	dir, err := os.MkdirTemp("", "rolecall-built-")
	if err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "rolecall")
	out, err := exec.Command("go", "build", "-tags", "nodev", "-o", binary, "github.com/callmine/rolecall/cmd/rolecall").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	builtIn = dir
	return binary, err
})

// builtIn is the folder of the built program, once there is one.
var builtIn string

func build(t *testing.T) (binary string) {
	t.Helper()
	binary, err := buildOnce()
	require.NoError(t, err)
	return binary
}

// startBuilt builds the program and serves with the configuration.
func startBuilt(t *testing.T, cfg config.Config) *builtProcess {
	t.Helper()
	p := &builtProcess{command: exec.CommandContext(t.Context(), build(t), "serve"), log: &testlog.Lines{}}
	p.command.Env = append(os.Environ(), environment(cfg)...)
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }
	stderr, err := p.command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.command.Start())
	t.Cleanup(func() {
		_ = p.command.Process.Signal(syscall.SIGTERM)
		_ = p.command.Wait()
	})
	serving := make(chan struct{})
	go p.read(stderr, serving)
	<-serving
	require.NotEmpty(t, p.web, p.log.String())
	return p
}

// read keeps the log, and finds in it where the process listens.
func (p *builtProcess) read(stderr io.Reader, serving chan<- struct{}) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		_, _ = p.log.Write(append(lines.Bytes(), '\n'))
		var line struct {
			Msg   string `json:"msg"`
			Web   string `json:"web"`
			Admin string `json:"admin"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" && p.web == "" {
			p.web, p.admin = line.Web, line.Admin
			close(serving)
		}
	}
	if p.web == "" {
		close(serving)
	}
}

// environment returns a configuration as variables of the environment.
func environment(cfg config.Config) []string {
	var env []string
	for name, value := range map[string]string{
		"DATABASE_URL": cfg.DatabaseURL, "CLERK_WEBHOOK_SIGNING_SECRET": strings.Join(cfg.SigningSecrets, ","), "CLERK_ISSUER": cfg.Issuer,
		"CLERK_JWKS_URL": cfg.JWKSURL, "CLERK_INSTANCE_ID": cfg.InstanceID, "CLERK_AUTHORIZED_PARTIES": strings.Join(cfg.AuthorizedParties, ","),
		"ROLECALL_SERVICE_TOKEN_HASHES": cfg.ServiceTokens, "ROLECALL_LISTEN_ADDR": cfg.ListenAddr, "ROLECALL_ADMIN_ADDR": cfg.AdminAddr,
		"ROLECALL_POLICY_FILE": cfg.PolicyFile,
	} {
		env = append(env, name+"="+value)
	}
	return env
}

// memory returns a figure of /proc/PID/status in MiB: VmRSS is the current memory of the process,
// VmHWM its peak since forgetPeak.
func (p *builtProcess) memory(t *testing.T, figure string) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, figure+":"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			require.NoError(t, err)
			return kib / 1024
		}
	}
	require.FailNow(t, "no such figure", figure)
	return 0
}

func (p *builtProcess) forgetPeak(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.command.Process.Pid), []byte("5"), 0o600))
}
